/** What a client of the socket needs: the definitions and the meaning of an error, nothing of the server. */
export { loadServices } from "./definition.ts";
export { runtimeErrorFrom } from "./errors.ts";
