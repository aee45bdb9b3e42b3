// An SMTP server over TLS that keeps what it takes as files; told what to do by one JSON argument.
"use strict";
const fs = require("fs");
const how = JSON.parse(process.argv[2]);
const { SMTPServer } = require(how.modules + "/smtp-server");
let number = 0;

const server = new SMTPServer({
  secure: true,
  key: fs.readFileSync(how.root + "/key.pem"),
  cert: fs.readFileSync(how.root + "/cert.pem"),
  authMethods: ["PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2"],
  size: how.size || undefined,
  hide8BITMIME: how.hide8BITMIME,
  onAuth(auth, session, done) {
    const right = auth.method === "XOAUTH2" ? auth.accessToken === how.token
      : auth.method === "CRAM-MD5" ? auth.validatePassword(how.password)
      : auth.password === how.password;
    if (auth.username === how.user && right) return done(null, { user: auth.username });
    if (auth.method === "XOAUTH2") return done(null, { data: { status: "401", schemes: "bearer" } });
    done(new Error("Invalid username or password"));
  },
  onRcptTo(address, session, done) {
    if (!fs.existsSync(how.root + "/greylist")) return done();
    const error = new Error("4.2.0 Greylisted");
    error.responseCode = 450;
    done(error);
  },
  onData(stream, session, done) {
    const parts = [];
    stream.on("data", (part) => parts.push(part));
    stream.on("end", () => {
      if (stream.sizeExceeded) {
        const error = new Error("5.3.4 Message exceeds fixed maximum message size");
        error.responseCode = 552;
        return done(error);
      }
      const name = `${Date.now()}.${process.pid}.${number++}`;
      fs.writeFileSync(`${how.root}/mail/${name}`, Buffer.concat(parts));
      fs.renameSync(`${how.root}/mail/${name}`, `${how.root}/mail/new/${name}`);
      done(null, "queued");
    });
  },
});
server.on("error", (error) => console.error(error.message));
server.listen(how.port, "127.0.0.1");
