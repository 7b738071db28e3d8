/** The port of a URL without one. */
const PORT = "4222";

/**
 * The host and port of a URL, and whether it wants TLS.
 *
 * @throws {TypeError} If it is none.
 */
export function serverOf(url: string): { readonly server: string; readonly tls: boolean } {
  const parsed = URL.parse(url);
  if (
    parsed === null || !/^(nats|tls):$/.test(parsed.protocol) || parsed.hostname === "" ||
    !/^\/?$/.test(parsed.pathname) || parsed.search !== "" || parsed.hash !== ""
  ) {
    throw new TypeError("it must be nats://HOST:PORT or tls://HOST:PORT");
  }
  if (parsed.username !== "" || parsed.password !== "") {
    throw new TypeError(
      "others can read arguments: put user:password into a file, and name it by --credentials",
    );
  }
  return { server: `${parsed.hostname}:${parsed.port || PORT}`, tls: parsed.protocol === "tls:" };
}
