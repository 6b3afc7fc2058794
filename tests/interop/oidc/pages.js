// What people see of the provider: forms without scripts or styles, by which a browser signs in,
// consents to some scopes or to all, or cancels; and those of the device flow.
//
// Names that drivers of browsers rely on: the fields `user`, `scope` (a box for each) and
// `user_code`, the buttons `#go` and `#cancel`, and `#done` on the page at a device flow's end.

const ESCAPES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escape = (text) => String(text).replace(/[&<>"']/g, (it) => ESCAPES[it]);

const page = (title, body) => `<!doctype html><title>${title}</title><h1>${title}</h1>${body}`;
const buttons = '<button id="go">Continue</button> '
  + '<button id="cancel" name="cancel" value="yes">Cancel</button>';
const form = (action, fields) =>
  `<form method="post" action="${escape(action)}">${fields}${buttons}</form>`;

// Who is it? What the client guesses stands there already.
const login = (action, { params }) =>
  page('Sign in', form(action, `<input name="user" value="${escape(params.login_hint ?? '')}">`));

// May the client have this? Every scope has a box, ticked to begin with.
const consent = (action, { params, session, prompt }) => {
  const boxes = asked(prompt.details).map(({ scope }) =>
    `<label><input type="checkbox" name="scope" value="${escape(scope)}" checked>`
    + `${escape(scope)}</label><br>`);
  const whose = `<p>${escape(params.client_id)}, of ${escape(session.accountId)}</p>`;
  return page('Consent', whose + form(action, boxes.join('')));
};

// The scopes that a prompt asks for, those of a resource with its name.
function asked(details) {
  const own = (details.missingOIDCScope ?? []).map((scope) => ({ scope }));
  const ofResources = Object.entries(details.missingResourceScopes ?? {}).flatMap(
    ([resource, scopes]) => scopes.map((scope) => ({ scope, resource })),
  );
  return [...own, ...ofResources];
}

const body = async (request) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
};

// The paths below /interaction/: a prompt is shown by GET and answered by POST.
export async function interact(provider, ctx) {
  const interaction = await provider.interactionDetails(ctx.req, ctx.res);
  if (ctx.method === 'GET') {
    ctx.type = 'html';
    ctx.body = (interaction.prompt.name === 'login' ? login : consent)(ctx.path, interaction);
    return;
  }
  const answer = new URLSearchParams(await body(ctx.req));
  const result = await decide(provider, interaction, answer);
  ctx.status = 303;
  ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, result));
}

async function decide(provider, { prompt, params, session, grantId }, answer) {
  if (answer.has('cancel')) {
    return { error: 'access_denied', error_description: 'the person <cancelled>' };
  }
  if (prompt.name === 'login') {
    return { login: { accountId: answer.get('user') } };
  }
  const ids = { accountId: session.accountId, clientId: params.client_id };
  const grant = grantId ? await provider.Grant.find(grantId) : new provider.Grant(ids);
  const ticked = new Set(answer.getAll('scope'));
  for (const { scope, resource } of asked(prompt.details)) {
    if (resource) {
      const settle = ticked.has(scope) ? 'addResourceScope' : 'rejectResourceScope';
      grant[settle](resource, scope);
    } else {
      grant[ticked.has(scope) ? 'addOIDCScope' : 'rejectOIDCScope'](scope);
    }
  }
  return { consent: { grantId: await grant.save() } };
}

// The pages of the device flow. What `inner` is, oidc-provider makes: a form with the id
// `op.deviceInputForm` or `op.deviceConfirmForm`, without buttons.
export const device = {
  userCodeInputSource: (ctx, inner, _out, error) => {
    const problem = error ? `<p id="problem">${escape(error.name)}</p>` : '';
    ctx.body = page('Device', `${problem}${inner}`
      + '<button id="go" form="op.deviceInputForm">Continue</button>');
  },
  userCodeConfirmSource: (ctx, inner, client, _info, code) => {
    ctx.body = page('Device', `<p>${escape(client.clientId)} shows ${escape(code)}</p>${inner}`
      + '<button id="go" form="op.deviceConfirmForm">Continue</button>'
      + '<button id="cancel" form="op.deviceConfirmForm" name="abort" value="yes">Cancel</button>');
  },
  successSource: (ctx) => {
    ctx.body = page('Device', '<p id="done">Go back to your device.</p>');
  },
};
