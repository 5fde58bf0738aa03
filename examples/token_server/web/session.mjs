// What a front-end does by hand: it looks at the expiry before a request, refreshes where little is
// left, and after a 401 refreshes once and sends the request again. The same file runs in a browser
// and in node.

/**
 * An axios instance that keeps its tokens fresh.
 *
 * @param axios     the library
 * @param base      where the server is
 * @param storage   get() and set(tokens): where the tokens are kept
 * @param margin    how many milliseconds before the expiry to refresh, as a function
 */
export function createClient({ axios, base, storage, margin = () => 5 * 60 * 1000 }) {
  const counts = { refreshes: 0, waits: 0, replays: 0 };
  const bare = axios.create({ baseURL: base });
  const client = axios.create({ baseURL: base });
  let refreshing = null;

  async function store(answer, sent) {
    const { access_token, refresh_token, expires_in } = answer.data;
    const before = storage.get();
    storage.set({
      access_token,
      // No new one means: keep the one there is (RFC 6749, section 6).
      refresh_token: refresh_token ?? before?.refresh_token,
      expires_at: sent + expires_in * 1000,
    });
  }

  /** Logs in at the server's login for development. */
  async function login(subject) {
    const sent = Date.now();
    const form = new URLSearchParams({ client_id: "web", subject, scope: "read" });
    await store(await bare.post("/dev-login", form), sent);
  }

  /** One refresh at a time, however many ask. */
  function refresh() {
    counts.waits += 1;
    refreshing ??= (async () => {
      counts.refreshes += 1;
      const sent = Date.now();
      const form = new URLSearchParams({
        grant_type: "refresh_token",
        client_id: "web",
        refresh_token: storage.get().refresh_token,
      });
      await store(await bare.post("/token", form), sent);
    })().finally(() => { refreshing = null; });
    return refreshing;
  }

  client.interceptors.request.use(async (config) => {
    if (refreshing !== null || storage.get().expires_at - Date.now() < margin()) await refresh();
    config.headers.Authorization = `Bearer ${storage.get().access_token}`;
    return config;
  });

  client.interceptors.response.use(undefined, async (error) => {
    const { config, response } = error;
    if (response?.status !== 401 || config.replayed) throw error;
    // Another request may have refreshed since this one was sent.
    const sentWith = config.headers.Authorization;
    if (sentWith === `Bearer ${storage.get().access_token}`) await refresh();
    counts.replays += 1;
    return client.request({ ...config, replayed: true });
  });

  return { client, login, counts };
}
