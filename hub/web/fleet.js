// What is known of the fleet, kept current by the hub?

const EVENTS_MAX = 200;
const RETRY_MAX = 15000;

export class Fleet {
  clusters = new Map();
  #apps = new Map(); // of each cluster, by name
  events = [];
  isComplete = false;
  #source;
  #listeners = new Set();
  #wake = 0;
  #retry = 1000;
  #timer = 0;
  #fresh;
  #onState;

  constructor(onState) {
    this.#onState = onState;
  }

  // Tells `listener` after changes, at most once a frame. The result ends that.
  follow(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  start() {
    this.stop();
    const source = new EventSource("api/muster.v1.FleetService/WatchFleet");
    this.#source = source;
    this.#fresh = { clusters: new Set(), apps: new Set() };
    source.onmessage = ({ data }) => this.#take(JSON.parse(data));
    source.addEventListener("error", ({ data }) => {
      if (this.#source !== source) return;
      source.close();
      this.#onState(false, data ? JSON.parse(data) : undefined);
      this.#timer = setTimeout(() => this.start(), this.#retry * (0.5 + Math.random()));
      this.#retry = Math.min(this.#retry * 2, RETRY_MAX);
    });
  }

  stop() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = undefined;
  }

  appsOf(cluster) {
    return [...(this.#apps.get(cluster)?.values() ?? [])];
  }

  get apps() {
    return [...this.#apps.values()].flatMap((apps) => [...apps.values()]);
  }

  #take({ cluster, app, removedApp, initialStateEnd, event }) {
    if (cluster) {
      this.clusters.set(cluster.name, cluster);
      this.#fresh?.clusters.add(cluster.name);
      // Its apps are as well known as it is connected.
      for (const one of this.appsOf(cluster.name)) one.connection = cluster.connection;
    } else if (app) {
      if (!this.#apps.has(app.cluster)) this.#apps.set(app.cluster, new Map());
      this.#apps.get(app.cluster).set(app.status.app, app);
      this.#fresh?.apps.add(app);
    } else if (removedApp) {
      this.#apps.get(removedApp.cluster)?.delete(removedApp.app);
    } else if (event) {
      this.events.unshift(event);
      this.events.length = Math.min(this.events.length, EVENTS_MAX);
    } else if (initialStateEnd) {
      for (const name of this.clusters.keys()) if (!this.#fresh.clusters.has(name)) this.clusters.delete(name);
      for (const app of this.apps) if (!this.#fresh.apps.has(app)) this.#apps.get(app.cluster).delete(app.status.app);
      this.#fresh = undefined;
      this.isComplete = true;
      this.#retry = 1000;
      this.#onState(true);
    }
    this.#tell();
  }

  #tell() {
    if (this.#wake || !this.isComplete) return;
    this.#wake = requestAnimationFrame(() => {
      this.#wake = 0;
      for (const listener of this.#listeners) listener();
    });
  }
}
