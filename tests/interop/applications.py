"""Applications that show the real oidc-provider who they are: by a secret, in the form or in a
header, and by assertions, which PyJWT judges as well.

Each has a relay of its own, through which a message goes out and comes back.
"""

import base64
import json
import time
import urllib.parse
import uuid

import direct
import endpoint
import expect
import kept
import tenant
from endpoint import TokenEndpoint
from keys import Key, has_life

USER = "erp@applications.test"
# Characters that form and header encode each in its own way (RFC 6749 section 2.3.1, appendix B).
SECRET = "pl+an%ted: &se=cret/~"
# RFC 7523 sections 2.1 and 2.2.
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# Microsoft's page on certificate credentials says 5 to 10 minutes, and we keep to it everywhere.
LIFE_S = (300, 600)


def a_secret_in_the_form(scene):
    """`client_secret_post`, the default with a secret."""
    request = _by_secret(scene, "post", "client_secret_post", "")
    expect.that(request["authorization"] is None, "there is an Authorization header, too")
    expect.that(request["form"].get("client_secret") == SECRET, "the form has no secret")
    expect.that(request["form"].get("client_id") == _id("post"), "the form has no client id")


def a_secret_in_the_header(scene):
    """`client_secret_basic`: id and secret encoded as in a form, then base64."""
    more = 'client_auth = "secret-basic"\n'
    request = _by_secret(scene, "basic", "client_secret_basic", more)
    # RFC 6749 section 2.3.1: encoded by application/x-www-form-urlencoded, and joined by a colon.
    scheme, _, credentials = request["authorization"].partition(" ")
    client_id, _, secret = base64.b64decode(credentials).decode().partition(":")
    shown = [urllib.parse.unquote_plus(part) for part in (client_id, secret)]
    expect.that(scheme == "Basic" and shown == [_id("basic"), SECRET], "the header is another")
    expect.that("client_secret" not in request["form"], "the secret is in the form, too")


def an_assertion_signed_by_ps256(scene):
    """`private_key_jwt` with a certificate: the algorithm that nobody had to name."""
    _by_certificate(scene, "PS256", "")


def an_assertion_signed_by_rs256(scene):
    """The older algorithm."""
    _by_certificate(scene, "RS256", 'assertion_algorithm = "RS256"\n')


def an_assertion_with_the_name_of_a_bare_key(scene):
    """No certificate: `kid` is what the server knows the key by (RFC 7515 section 4.1.4)."""
    key = Key(scene.directory, "bare")
    _register(scene, "bare", "private_key_jwt", "PS256", {**key.jwk, "kid": "bare-1"})
    lines = f'private_key = "{key.private_key}"\nprivate_key_id = "bare-1"\n'
    request = _mail_by(scene, "bare", lines + 'client_auth = "private-key-jwt"\n')
    header, _ = key.header_and_claims(_assertion(request), "PS256", scene.oidc.token_endpoint)
    expect.that(header.get("kid") == "bare-1", f"the header is {header}")
    expect.that("x5t" not in header and "x5t#S256" not in header, "there is no certificate")


def an_assertion_that_another_program_keeps_in_a_file(scene):
    """`assertion_file` is read at each use: the provider takes none twice."""
    key = Key(scene.directory, "file")
    _register(scene, "file", "private_key_jwt", "RS256", key.jwk)
    file = scene.directory / "assertion"
    lines = _account("file") + f'assertion_file = "{file}"\n'
    with tenant.relay_before(scene, "app-file", {USER: lines}, starts=False) as relay:
        for _ in ("once", "again"):
            file.write_text(_signed_for(scene, key, _id("file")) + "\n")
            file.chmod(0o600)
            token = relay.do("token", USER).strip()
            expect.that(token.count(".") == 2, "it printed no access token")
        done = relay.command("token", USER)
        expect.that(done.code != 0, "an assertion was taken twice")
        file.write_text(_signed_for(scene, key, _id("file")))
        relay.start()
        tenant.mail_goes_round(scene, relay, USER, "file")
    assertions = [it["form"]["client_assertion"] for it in scene.oidc.requests(_id("file"))]
    expect.that(len(set(assertions)) == 3, "the file was not read at each use")


def a_person_with_a_confidential_client_that_signs(scene):
    """A certificate in the code exchange and in each refresh."""
    key = Key(scene.directory, "person")
    scene.oidc.register(
        _id("person"),
        token_endpoint_auth_method="private_key_jwt",
        token_endpoint_auth_signing_alg="PS256",
        jwks={"keys": [key.jwk]},
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        redirect_uris=["http://127.0.0.1/"],
        application_type="native",
    )
    lines = tenant.PERSON.format(client_id=_id("person")) + _certificate(key)
    with tenant.relay_before(scene, "app-person", {USER: lines}) as relay:
        tenant.consented(scene, relay, USER)
        relay.stop()
        relay.start()
        tenant.mail_goes_round(scene, relay, USER, "person")
    requests = scene.oidc.requests(_id("person"))
    grants = {it["form"]["grant_type"] for it in requests}
    expect.that(grants == {"authorization_code", "refresh_token"}, f"it asked by {grants}")
    for request in requests:
        key.header_and_claims(_assertion(request), "PS256", scene.oidc.token_endpoint)
    ids = [_jti(key, request, scene) for request in requests]
    expect.that(len(set(ids)) == len(ids), "a jti came twice")


def a_service_account_in_the_name_of_each_mailbox_of_a_domain(scene):
    """`service-account`: PyJWT judges each assertion before a token is given that Dovecot takes."""
    key = Key(scene.directory, "domain")
    issuer, scope = "relay@applications.test", "https://mail.google.com/"
    subjects = []
    tokens = TokenEndpoint(scene.provider)
    token = direct.access_token(scene.provider)

    def judge(handler, form):
        fields = dict(urllib.parse.parse_qsl(form.decode(), strict_parsing=True))
        header, claims = key.header_and_claims(fields["assertion"], "RS256", tokens.url)
        is_known = header.get("kid") == "domain-1" and claims["iss"] == issuer
        if not is_known or claims["scope"] != scope or fields["grant_type"] != JWT_BEARER:
            return endpoint.send(handler, 400, "application/json", b'{"error":"invalid_grant"}')
        subjects.append(claims["sub"])
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": 3599}
        return endpoint.send(handler, 200, "application/json", json.dumps(answer).encode())

    tokens.answer = judge
    tokens.start()
    lines = f'grant = "service-account"\nclient_email = "{issuer}"\n'
    lines += f'private_key_id = "domain-1"\nprivate_key = "{key.private_key}"\n'
    found = f'token_endpoint = "{tokens.url}"\n'
    try:
        with tenant.relay_before(
            scene, "app-domain", {"*@workspace.test": lines}, endpoints=found, scopes=[scope]
        ) as relay:
            for user in ("ann@workspace.test", "ben@workspace.test"):
                tenant.mail_goes_round(scene, relay, user, user.partition("@")[0])
            heard = kept.by_smtp(kept.at(scene, relay, "ann@elsewhere.test"))
            expect.that(heard.is_wrong_password, f"a foreign mailbox heard {heard.reply}")
    finally:
        tokens.stop()
    expect.that(set(subjects) == {"ann@workspace.test", "ben@workspace.test"}, f"{subjects}")


CHECKS = [
    a_secret_in_the_form,
    a_secret_in_the_header,
    an_assertion_signed_by_ps256,
    an_assertion_signed_by_rs256,
    an_assertion_with_the_name_of_a_bare_key,
    an_assertion_that_another_program_keeps_in_a_file,
    a_person_with_a_confidential_client_that_signs,
    a_service_account_in_the_name_of_each_mailbox_of_a_domain,
]


def _id(name):
    return f"interop app:{name}"


def _account(name):
    return f'grant = "client-credentials"\nclient_id = "{_id(name)}"\n'


def _certificate(key):
    return f'certificate = "{key.certificate}"\nprivate_key = "{key.private_key}"\n'


def _register(scene, name, method, algorithm=None, jwk=None, **more):
    if algorithm is not None:
        more["token_endpoint_auth_signing_alg"] = algorithm
        more["jwks"] = {"keys": [jwk]}
    scene.oidc.register(
        _id(name),
        token_endpoint_auth_method=method,
        grant_types=["client_credentials"],
        response_types=[],
        redirect_uris=[],
        **more,
    )


def _mail_by(scene, name, lines):
    """A message goes round; gives the token request that the provider got for it."""
    accounts = {USER: _account(name) + lines}
    endpoints = f'token_endpoint = "{scene.oidc.token_endpoint}"\n'
    # RFC 8707: where the token is for; here it is the default, and has to be said all the same.
    endpoints += f'resource = "{scene.oidc.resource}"\n'
    scopes = ["mail.read", "mail.send"]
    with tenant.relay_before(
        scene, f"app-{name}", accounts, endpoints=endpoints, scopes=scopes
    ) as relay:
        tenant.mail_goes_round(scene, relay, USER, name)
    requests = scene.oidc.requests(_id(name))
    expect.that(len(requests) == 1, f"{len(requests)} token requests were made")
    form = requests[0]["form"]
    # RFC 6749 section 4.4.2.
    expect.that(form["grant_type"] == "client_credentials", f"it asked by {form['grant_type']}")
    expect.that(form["scope"].split() == scopes, f"it asked for {form['scope']}")
    expect.that(form["resource"] == scene.oidc.resource, "it names no resource")
    return requests[0]


def _by_secret(scene, name, method, more):
    _register(scene, name, method, client_secret=SECRET)
    return _mail_by(scene, name, f'client_secret = "{SECRET}"\n{more}')


def _by_certificate(scene, algorithm, more):
    name = algorithm.lower()
    key = Key(scene.directory, name)
    _register(scene, name, "private_key_jwt", algorithm, key.jwk)
    request = _mail_by(scene, name, _certificate(key) + more)
    expect.that(request["authorization"] is None, "there is an Authorization header, too")
    header, claims = key.header_and_claims(
        _assertion(request), algorithm, scene.oidc.token_endpoint
    )
    # Microsoft, "certificate credentials": typ, and the thumbprint of the DER certificate.
    expect.that(header["typ"] == "JWT", f"the header is {header}")
    # RFC 7515 sections 4.1.8 and 4.1.7, against openssl.
    for name, digest in (("x5t#S256", "sha256"), ("x5t", "sha1")):
        expect.that(header[name] == key.thumbprint(digest), f"{name} is {header[name]}")
    # RFC 7523 section 3: the client about itself.
    expect.that(claims["iss"] == claims["sub"] == _id(algorithm.lower()), f"it claims {claims}")
    expect.that(claims["jti"], "there is no jti")
    has_life(claims, *LIFE_S)


def _assertion(request):
    form = request["form"]
    expect.that(form["client_assertion_type"] == ASSERTION_TYPE, "the assertion has another type")
    expect.that("client_secret" not in form, "there is a secret, too")
    return form["client_assertion"]


def _jti(key, request, scene):
    _, claims = key.header_and_claims(_assertion(request), "PS256", scene.oidc.token_endpoint)
    return claims["jti"]


def _signed_for(scene, key, client_id):
    now = int(time.time())
    return key.sign(
        {
            "iss": client_id,
            "sub": client_id,
            "aud": scene.oidc.token_endpoint,
            "jti": str(uuid.uuid4()),
            "iat": now,
            "exp": now + 300,
        }
    )
