import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A certificate with its key, in files and as text. */
export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

/** Makes an authority of its own below `folder`, and certificates of it for names (`DNS:…`, `IP:…`), by openssl(1). */
export function makeAuthority(
  folder: string,
  name: string,
): { readonly ca: Certificate; issue(subject: string, names: string): Certificate } {
  const file = (part: string): string => join(folder, `${name}-${part}`);
  const openssl = (...argv: string[]): void => void execFileSync("openssl", argv, { stdio: "pipe" });
  const create = (subject: string, extensions: string, signer: readonly string[]): Certificate => {
    const [certFile, keyFile] = [file(`${subject}.crt.pem`), file(`${subject}.key.pem`)];
    const config = file(`${subject}.cnf`);
    writeFileSync(config, `[req]\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\n[ext]\n${extensions}\n`);
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", keyFile];
    const request = ["req", "-x509", "-config", config, "-days", "2", "-subj", `/CN=${name} ${subject}`];
    openssl(...request, ...key, "-out", certFile, ...signer);
    return { certFile, keyFile, cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8") };
  };
  const ca = create("ca", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign", []);
  return {
    ca,
    issue: (subject, names) =>
      create(subject, `subjectAltName=${names}`, ["-CA", ca.certFile, "-CAkey", ca.keyFile]),
  };
}
