/** What the command line needs of images: names and Docker's config.json, nothing of the store. */
export { openDockerConfig } from "./registry/docker-config.ts";
export { parseReference, registryOfQuery } from "./reference.ts";
