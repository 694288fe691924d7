// How is the hub asked?

export class Refused extends Error {
  constructor(status, { code, message }) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function send(path, method, body) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Refused(0, { code: "UNAVAILABLE", message: "The hub does not answer." });
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, { message: `The hub answered ${response.status}.`, ...answer });
  return answer;
}

export const call = (method, request = {}) => send(`api/muster.v1.${method}`, "POST", request);
export const whoAmI = () => call("AccessService/WhoAmI");
export const logIn = (token) => send("api/session", "POST", { token });
export const logOut = () => send("api/session", "DELETE");

// Whether somebody with these roles may decide about waves somewhere; the hub itself looks at each call.
export const mayDecide = (who) => (who.roles ?? []).some(({ role }) => role === "promoter" || role === "admin");
export const mayAudit = (who) => (who.roles ?? []).some(({ role }) => role === "admin");
