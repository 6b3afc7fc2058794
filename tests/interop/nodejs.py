"""Node, and what `tests/run packages` has installed for it from npm."""

from processes import HERE, Failed, program, run

# Where `tests/interop/install-npm` puts it.
INSTALLED = HERE.parents[1] / "target" / "interop"
NODE_VERSION_MIN = 18


def script(package, name, *arguments):
    """What starts a script of `package`: it is told where the modules lie that it needs."""
    version = run([program("node"), "--version"]).decode().strip()
    if int(version.removeprefix("v").partition(".")[0]) < NODE_VERSION_MIN:
        raise Failed(f"Node {NODE_VERSION_MIN} or later is needed, this is {version}")
    modules = INSTALLED / package
    if not (modules / "node_modules").is_dir():
        raise Failed(f"nothing is installed in {modules}: ./tests/run packages installs it")
    return [program("node"), str(HERE / package / name), str(modules), *map(str, arguments)]
