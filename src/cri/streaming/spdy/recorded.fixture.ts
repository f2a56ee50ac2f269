/**
 * What real clients sent after the HTTP upgrade, as base64: Go's spdystream under client-go and crictl 1.36, captured
 * between client and server.
 */

/** client-go, v5.channel.k8s.io: stdin, stdout, stderr; one line typed, then the end of it. */
export const recordedExec = Buffer.from(
  [
    "gAMAAQAAACkAAAABAAAAAAAAePnjxqfCYmBgYASns5Ki1MRcaFHCmgoKaAAAAAD//4ADAAEAAAAXAAAAAwAAAAAAAMIuVVyS",
    "kpkHAAAA//+AAwABAAAAGQAAAAUAAAAAAADCKsVWXJKSX1oCAAAA//+AAwABAAAAFQAAAAcAAAAAAADCKZdaVAQAAAD//wAA",
    "AAMAAAAdaGVsbG8gZnJvbSBhIHJlY29yZGVkIGNsaWVudAoAAAADAQAAAA==",
  ].join(""),
  "base64",
);

/** client-go, v4.channel.k8s.io: a terminal with stdin, stdout and resize. */
export const recordedTerminal = Buffer.from(
  [
    "gAMAAQAAACkAAAABAAAAAAAAePnjxqfCYmBgYASns5Ki1MRcaFHCmgoKaAAAAAD//4ADAAEAAAAXAAAAAwAAAAAAAMIuVVyS",
    "kpkHAAAA//+AAwABAAAAGQAAAAUAAAAAAADCKsVWXJKSX1oCAAAA//+AAwABAAAAGAAAAAcAAAAAAADCLleUWpxZlQoAAAD/",
    "/wAAAAMBAAAAgAMAAwAAAAgAAAAFAAAABQ==",
  ].join(""),
  "base64",
);

/** crictl port-forward to port 18082: two connections, the first half-closed, the second closed. */
export const recordedForward = Buffer.from(
  [
    "gAMAAQAAAEAAAAABAAAAAAAAePnjxqfCAiU6cDorKUpNzIUWJaypoICGFMtFoCTMamhhYGHEwMDAWQSJx0xQ+mY0AAAAAP//",
    "AAAAAQEAAACAAwABAAAAHAAAAAMAAAAAAACC6sYURTUPVDQlYhgHAAAA//+AAwABAAAAFgAAAAUAAAAAAADCqtmQWMcAAAAA",
    "//8AAAAFAQAAAIADAAEAAAAXAAAABwAAAAAAAMLqcJwWoVkCAAAA//8AAAADAAAAEGZpcnN0IGNvbm5lY3Rpb24AAAAHAAAA",
    "EXNlY29uZCBjb25uZWN0aW9uAAAAAwEAAAAAAAAHAQAAAIADAAcAAAAIAAAAAAAAAAA=",
  ].join(""),
  "base64",
);
