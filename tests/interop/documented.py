"""The exact requests that Microsoft and Google document, asked by the real `mailbearer token`.

A tiny endpoint stands in their place; the page that prescribes a field stands beside it. Signatures
are judged by PyJWT, thumbprints by openssl.
"""

import contextlib
import json
import subprocess
import sys

import expect
from keys import Key, has_life
from mailbearer import Relay
from processes import HERE, PATIENCE_S, Failed, program
from recorder import ACCESS_TOKEN, Recorder

MAILBOX = "alice@contoso.com"
TENANT = "aaaabbbb-0000-cccc-1111-dddd2222eeee"
CLIENT_ID = "11112222-bbbb-3333-cccc-4444dddd5555"
ENTRA_PATH = f"/{TENANT}/oauth2/v2.0/token"
# learn.microsoft.com, "Authenticate an IMAP, POP or SMTP connection using OAuth": for application
# permissions the scope must be this one.
EXCHANGE_SCOPE = "https://outlook.office365.com/.default"
# RFC 7523 sections 2.1 and 2.2.
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# developers.google.com, "IMAP, POP, and SMTP": the scope of all three protocols.
GMAIL_SCOPE = "https://mail.google.com/"
# learn.microsoft.com, "Certificate credentials": "5-10 minutes after nbf at most".
CERTIFICATE_LIFE_S = (300, 600)
# developers.google.com, "Using OAuth 2.0 for server to server applications": "a maximum of 1 hour".
SERVICE_ACCOUNT_LIFE_S = (60, 3600)
SERVICE_ACCOUNT = "mailbearer@interop.iam.gserviceaccount.com"

ACCOUNT = """
[accounts."{mailbox}"]
provider = "{provider}"
local_password = "{local_password}"
{lines}
"""


def microsoft_with_a_secret(scene):
    """learn.microsoft.com, "OAuth 2.0 client credentials flow", first case."""
    lines = 'grant = "client-credentials"\nclient_secret = "interop~secret"\n'
    request = _entra(scene, "secret", lines)
    _has_form(
        request,
        grant_type="client_credentials",
        client_id=CLIENT_ID,
        client_secret="interop~secret",
        scope=EXCHANGE_SCOPE,
    )


def microsoft_with_a_certificate(scene):
    """The same page, second case, and "Certificate credentials": PS256 with `x5t#S256`."""
    _microsoft_certificate(scene, "PS256", "")


def microsoft_with_a_certificate_in_the_older_form(scene):
    """RS256 with the SHA-1 `x5t`, which older tenants' tools made."""
    _microsoft_certificate(scene, "RS256", 'assertion_algorithm = "RS256"\n')


def microsoft_with_a_workload_identity(scene):
    """The same page, third case: the token of Kubernetes is the assertion, as it is.

    Where it lies and who asks is told by the variables of azure.github.io, "Azure Workload
    Identity", page "Mutating admission webhook".
    """
    token = scene.directory / "federated-token"
    token.write_text("eyJ.federated.token\n")
    token.chmod(0o600)
    variables = {
        "AZURE_FEDERATED_TOKEN_FILE": str(token),
        "AZURE_CLIENT_ID": CLIENT_ID,
        "AZURE_TENANT_ID": TENANT,
    }
    request = _entra(
        scene, "workload", 'grant = "workload-identity"\n', variables=variables, has_ids=False
    )
    _has_form(
        request,
        grant_type="client_credentials",
        client_id=CLIENT_ID,
        client_assertion_type=ASSERTION_TYPE,
        client_assertion="eyJ.federated.token",
        scope=EXCHANGE_SCOPE,
    )


def microsoft_with_a_password(scene):
    """learn.microsoft.com, "OAuth 2.0 Resource Owner Password Credentials"; for submission."""
    lines = 'grant = "password"\npassword = "interop p&ss"\n'
    request = _entra(scene, "password", lines)
    scope = set(request.form["scope"].split())
    expect.that("https://outlook.office.com/SMTP.Send" in scope, f"it asks for {scope}")
    expect.that(not any("graph" in it for it in scope), "the scopes are for two resources")
    _has_form(
        request,
        grant_type="password",
        client_id=CLIENT_ID,
        username=MAILBOX,
        password="interop p&ss",
        scope=request.form["scope"],
    )


def azure_on_a_virtual_machine(scene):
    """learn.microsoft.com, "How to use managed identities … to acquire an access token", HTTP.

    The service has its own address, in a network where nothing else is.
    """
    for client_id in (None, CLIENT_ID):
        name = "imds" if client_id is None else "imds-user"
        relay = _relay(scene, name, "microsoft", "", _managed(client_id))
        command = [sys.executable, "-B", str(HERE / "metadata_service.py")]
        done = subprocess.run(
            [program("unshare"), "--net", *command, *relay.argv("token", MAILBOX)],
            capture_output=True,
            encoding="utf-8",
            env=relay.environment(),
            timeout=PATIENCE_S,
        )
        if done.returncode != 0:
            raise Failed(f"the network of its own: {done.stderr}")
        told = json.loads(done.stdout)
        expect.that(told["stdout"].strip() == ACCESS_TOKEN, f"it ended with {told}")
        (request,) = told["requests"]
        expect.that(request["method"] == "GET", f"it came by {request['method']}")
        path = "/metadata/identity/oauth2/token"
        expect.that(request["path"] == path, f"it asks {request['path']}")
        query = {"api-version": "2018-02-01", "resource": "https://outlook.office365.com"}
        if client_id is not None:
            query["client_id"] = client_id
        expect.that(request["query"] == query, f"it asks for {request['query']}")
        expect.that(request["headers"].get("metadata") == "true", "Metadata: true is missing")
        expect.that("x-forwarded-for" not in request["headers"], "the service refuses proxies")


def azure_app_service(scene):
    """learn.microsoft.com, "Use managed identities for App Service", REST endpoint reference."""
    with Recorder(expires_on="1795325640") as recorder:
        variables = {
            "IDENTITY_ENDPOINT": f"{recorder.url}/msi/token",
            "IDENTITY_HEADER": "interop-identity-header",
        }
        relay = _relay(scene, "app-service", "microsoft", "", _managed(CLIENT_ID), variables)
        _token(relay)
        request = recorder.only()
    expect.that((request.method, request.path) == ("GET", "/msi/token"), f"it came as {request}")
    query = {
        "api-version": "2019-08-01",
        "resource": "https://outlook.office365.com",
        "client_id": CLIENT_ID,
    }
    expect.that(request.query == query, f"it asks for {request.query}")
    header = request.headers.get("x-identity-header")
    expect.that(header == "interop-identity-header", f"X-IDENTITY-HEADER is {header!r}")


def google_with_the_key_file_of_a_service_account(scene):
    """developers.google.com, "Using OAuth 2.0 for server to server applications", HTTP/REST."""
    _google(scene, "key-file", _key_file)


def google_with_the_key_of_a_service_account_by_itself(scene):
    """The same from three keys of the configuration, where a secret manager has no files."""
    _google(scene, "by-keys", _separate_keys)


CHECKS = [
    microsoft_with_a_secret,
    microsoft_with_a_certificate,
    microsoft_with_a_certificate_in_the_older_form,
    microsoft_with_a_workload_identity,
    microsoft_with_a_password,
    azure_on_a_virtual_machine,
    azure_app_service,
    google_with_the_key_file_of_a_service_account,
    google_with_the_key_of_a_service_account_by_itself,
]


def _microsoft_certificate(scene, algorithm, more):
    key = Key(scene.directory, f"contoso-{algorithm}")
    lines = 'grant = "client-credentials"\n'
    lines += f'certificate = "{key.certificate}"\nprivate_key = "{key.private_key}"\n'
    with _endpoint(scene, algorithm, lines + more) as (relay, recorder):
        _token(relay)
        request = recorder.only()
    _has_form(
        request,
        grant_type="client_credentials",
        client_id=CLIENT_ID,
        client_assertion_type=ASSERTION_TYPE,
        client_assertion=request.form["client_assertion"],
        scope=EXCHANGE_SCOPE,
    )
    # "Certificate credentials", tables "Header" and "Claims (payload)": `aud` is the token endpoint
    # of the tenant.
    audience = recorder.url + ENTRA_PATH
    header, claims = key.header_and_claims(request.form["client_assertion"], algorithm, audience)
    expect.that((header["alg"], header["typ"]) == (algorithm, "JWT"), f"the header is {header}")
    if algorithm == "PS256":
        shown, by_openssl = header.get("x5t#S256"), key.thumbprint("sha256")
    else:
        shown, by_openssl = header.get("x5t"), key.thumbprint("sha1")
    expect.that(shown == by_openssl, f"the thumbprint is {shown}, by openssl {by_openssl}")
    expect.that(claims["iss"] == claims["sub"] == CLIENT_ID, f"it claims {claims}")
    expect.that({"jti", "nbf", "iat", "exp", "aud"} <= claims.keys(), f"it claims {claims}")
    has_life(claims, *CERTIFICATE_LIFE_S)


def _google(scene, name, lines_of):
    key = Key(scene.directory, f"google-{name}")
    with Recorder() as recorder:
        token_uri = f"{recorder.url}/token"
        lines = 'grant = "service-account"\n' + lines_of(scene, key, token_uri)
        provider = f'[providers.google]\ntoken_endpoint = "{token_uri}"\n'
        relay = _relay(scene, name, "google", provider, lines)
        _token(relay)
        request = recorder.only()
    expect.that((request.method, request.path) == ("POST", "/token"), f"it came as {request}")
    # "Making the access token request": these two fields and no others.
    _has_form(request, grant_type=JWT_BEARER, assertion=request.form["assertion"])
    header, claims = key.header_and_claims(request.form["assertion"], "RS256", token_uri)
    # "Forming the JWT header" and "Forming the JWT claim set"; `sub` is under "Additional claims".
    expect.that(
        header == {"alg": "RS256", "typ": "JWT", "kid": "interop-key-id"}, f"the header is {header}"
    )
    fixed = {"iss": SERVICE_ACCOUNT, "sub": MAILBOX, "scope": GMAIL_SCOPE, "aud": token_uri}
    said = {name: claims.get(name) for name in fixed}
    expect.that(said == fixed, f"it claims {claims}")
    expect.that(claims.keys() <= {*fixed, "iat", "exp"}, f"it claims {claims}")
    has_life(claims, *SERVICE_ACCOUNT_LIFE_S)


def _key_file(scene, key, token_uri):
    file = scene.directory / "service-account.json"
    told = {
        "type": "service_account",
        "project_id": "interop",
        "private_key_id": "interop-key-id",
        "private_key": key.private_key.read_text(),
        "client_email": SERVICE_ACCOUNT,
        "client_id": "104857600000000000000",
        "token_uri": token_uri,
    }
    file.write_text(json.dumps(told))
    file.chmod(0o600)
    return f'key_file = "{file}"\n'


def _separate_keys(_scene, key, _token_uri):
    return (
        f'client_email = "{SERVICE_ACCOUNT}"\n'
        'private_key_id = "interop-key-id"\n'
        f'private_key = "{key.private_key}"\n'
    )


def _managed(client_id):
    lines = 'grant = "managed-identity"\n'
    return lines if client_id is None else lines + f'client_id = "{client_id}"\n'


def _entra(scene, name, lines, variables=None, has_ids=True):
    """The request of an account at Microsoft."""
    with _endpoint(scene, name, lines, variables, has_ids) as (relay, recorder):
        _token(relay)
        return recorder.only()


@contextlib.contextmanager
def _endpoint(scene, name, lines, variables=None, has_ids=True):
    """A configuration, and the endpoint in the place of Entra's."""
    if has_ids:
        lines = f'tenant = "{TENANT}"\nclient_id = "{CLIENT_ID}"\n{lines}'
    with Recorder() as recorder:
        endpoint = recorder.url + "/{tenant}/oauth2/v2.0/token"
        provider = f'[providers.microsoft]\ntoken_endpoint = "{endpoint}"\n'
        yield _relay(scene, name, "microsoft", provider, lines, variables), recorder


def _relay(scene, name, provider, table, lines, variables=None):
    """A configuration for one command: nothing runs."""
    directory = scene.directory / f"documented-{name}"
    relay = Relay(scene.binary, directory, scene.provider, scene.ca_file)
    relay.variables = variables or {}
    relay.add(table)
    relay.add(
        ACCOUNT.format(
            mailbox=MAILBOX, provider=provider, local_password=relay.local_password, lines=lines
        )
    )
    return relay


def _token(relay):
    """What `token` prints is what the endpoint gave, and nothing else."""
    printed = relay.do("token", MAILBOX)
    expect.that(printed == ACCESS_TOKEN + "\n", f"it printed {printed!r}")


def _has_form(request, **form):
    """These fields and no others."""
    expect.that(request.method == "POST", f"it came by {request.method}")
    content_type = request.headers["content-type"].partition(";")[0]
    # RFC 6749 section 3.2 and appendix B.
    expect.that(content_type == "application/x-www-form-urlencoded", f"it is {content_type}")
    expect.that("authorization" not in request.headers, "there is an Authorization header, too")
    lacks = form.keys() - request.form.keys()
    more = request.form.keys() - form.keys()
    other = {name for name in form.keys() & request.form.keys() if form[name] != request.form[name]}
    expect.that(not (lacks or more or other), f"it lacks {lacks}, has {more}, differs in {other}")
