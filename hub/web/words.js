// Which word, sign and colour does a state have? Colour is never alone.

const word = (text, look, sign) => ({ text, look, sign });
const UNKNOWN = word("Unknown", "off", "?");

const SYNC = {
  SYNC_STATUS_SYNCED: word("Synced", "good", "✓"),
  SYNC_STATUS_OUT_OF_SYNC: word("OutOfSync", "bad", "≠"),
};
const HEALTH = {
  HEALTH_STATUS_HEALTHY: word("Healthy", "good", "✓"),
  HEALTH_STATUS_PROGRESSING: word("Progressing", "busy", "…"),
  HEALTH_STATUS_DEGRADED: word("Degraded", "bad", "✗"),
  HEALTH_STATUS_SUSPENDED: word("Suspended", "off", "‖"),
  HEALTH_STATUS_MISSING: word("Missing", "bad", "∅"),
};
const CONNECTION = {
  CONNECTION_CONNECTED: word("Connected", "good", "✓"),
  CONNECTION_UNREACHABLE: word("Unreachable", "bad", "⌁"),
  CONNECTION_NEVER: word("Never connected", "off", "–"),
};
const STAGE = {
  STAGE_STATE_EMPTY: word("Empty", "off", "–"),
  STAGE_STATE_CURRENT: word("Current", "good", "✓"),
  STAGE_STATE_PROGRESSING: word("Progressing", "busy", "…"),
  STAGE_STATE_SOAKING: word("Soaking", "busy", "◔"),
  STAGE_STATE_WAITING: word("Waiting", "off", "·"),
  STAGE_STATE_AWAITING_APPROVAL: word("Awaiting approval", "busy", "☞"),
  STAGE_STATE_REJECTED: word("Rejected", "bad", "✗"),
  STAGE_STATE_REFUSED: word("Refused", "bad", "✗"),
  STAGE_STATE_GATED: word("Gated", "busy", "⊘"),
  STAGE_STATE_FROZEN: word("Frozen", "off", "❄"),
  STAGE_STATE_PAUSED: word("Paused", "off", "‖"),
  STAGE_STATE_HALTED: word("Halted", "bad", "✗"),
};

const SEVERITY = {
  critical: word("critical", "bad", "✗"),
  warning: word("warning", "busy", "!"),
  info: word("info", "off", "·"),
};
const ALERT = {
  ALERT_STATE_PENDING: word("Pending", "busy", "…"),
  ALERT_STATE_FIRING: word("Firing", "bad", "✗"),
  ALERT_STATE_RESOLVED: word("Resolved", "good", "✓"),
};
const SILENCED = word("Silenced", "off", "‖");

export const severity = (name) => SEVERITY[name] ?? UNKNOWN;
const muted = (by) => word(`Muted by ${by}`, "off", "‖");
export const alert = ({ state, silence, mutedBy }) =>
  (silence ? SILENCED : mutedBy && state === "ALERT_STATE_FIRING" ? muted(mutedBy) : ALERT[state] ?? UNKNOWN);
export const sync = (status) => SYNC[status] ?? UNKNOWN;
export const health = (status) => HEALTH[status] ?? UNKNOWN;
export const connection = (status) => CONNECTION[status] ?? UNKNOWN;
export const stage = (state) => STAGE[state] ?? UNKNOWN;

// One word for an app in a cluster, the worst of what there is to say. A status is as good as its cluster's connection.
export function app(one) {
  if (one.connection !== "CONNECTION_CONNECTED") return word("Unknown", "off", "?");
  const { sync: synced, health: fares } = one.status ?? {};
  if (["HEALTH_STATUS_DEGRADED", "HEALTH_STATUS_MISSING"].includes(fares)) return health(fares);
  if (synced === "SYNC_STATUS_OUT_OF_SYNC") return sync(synced);
  if (fares === "HEALTH_STATUS_PROGRESSING") return health(fares);
  if (!synced || !fares) return UNKNOWN;
  return health(fares);
}

const RANK = { bad: 3, busy: 2, off: 1, good: 0 };

// One word for a cluster: the worst of its connection and its apps.
export function cluster(one, apps) {
  if (one.connection !== "CONNECTION_CONNECTED") return connection(one.connection);
  const words = apps.map(app);
  if ((one.status?.errors ?? []).length) words.push(word("Errors", "bad", "✗"));
  return words.reduce((worst, next) => (RANK[next.look] > RANK[worst.look] ? next : worst), word("Well", "good", "✓"));
}

export const short = (revision) => (revision ? revision.slice(0, 8) : "");

export const kind = (name) => name.replace(/^[A-Z]+_KIND_/, "").toLowerCase().replaceAll("_", " ");

export function ago(time, now = Date.now()) {
  if (!time) return "";
  const seconds = Math.max(0, Math.round((now - Date.parse(time)) / 1000));
  if (seconds < 60) return `${seconds}s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)}h ago`;
  return `${Math.floor(seconds / 86400)}d ago`;
}

export const time = (text) => (text ? new Date(text).toLocaleString() : "");

export const object = (ref) => `${ref.kind} ${ref.namespace ? `${ref.namespace}/` : ""}${ref.name}`;
