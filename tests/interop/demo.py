"""`mailbearer demo` as a reader of the README meets it: the lines that it prints are pasted."""

import subprocess

from processes import Child, Failed, run, wait_for

# What the demo prints last, once it waits.
LAST_LINE = "Ctrl-C ends it."


def the_lines_that_demo_prints_send_and_fetch_mail(scene):
    """curl sends and fetches a message of its own, swaks signs in with AUTH PLAIN."""
    printed = scene.directory / "demo.log"
    demo = Child("demo", [scene.binary, "demo"], printed)
    try:
        wait_for("demo prints lines to paste", lambda: LAST_LINE in printed.read_text())
        _, to_paste = printed.read_text().split("Now with a client of yours", 1)
        programs = ("printf", "curl", "swaks")
        lines = [line for line in to_paste.splitlines() if line.startswith(programs)]
        send, fetch, swaks = (_pasted(line) for line in lines)
    finally:
        demo.stop()
    if send or fetch.split() != b"Subject: Hello Hello from curl".split():
        raise Failed(f"curl printed {send!r} and fetched {fetch!r}")
    if b"-> AUTH PLAIN" not in swaks or b"<-  235 " not in swaks:
        raise Failed(f"swaks said {swaks.decode()}")
    if demo.process.returncode != 0:
        raise Failed(f"demo ended with {demo.process.returncode}")


def demo_once_ends_with_0_and_shows_both_sign_ins(scene):
    """AUTH PLAIN on the left, AUTH XOAUTH2 on the right."""
    shown = run([scene.binary, "demo", "--once"]).decode()
    rows = [line.split(" > ") for line in shown.splitlines() if " > " in line]
    if not any("AUTH PLAIN" in left and "AUTH XOAUTH2" in right for left, right in rows):
        raise Failed(f"demo --once showed {shown}")


def _pasted(line):
    """What the line prints when it is pasted into a shell."""
    return run(["sh", "-c", line], stdin=subprocess.DEVNULL)


CHECKS = [
    the_lines_that_demo_prints_send_and_fetch_mail,
    demo_once_ends_with_0_and_shows_both_sign_ins,
]
