/* What a run says, as it comes, to the octet: server-sent events, gone on with from where they were cut off.

   <pre data-tail="/api/v1/runs/RUN/tail" data-offset="1234">the output up to there</pre>

   All of it is text: nothing that a job says becomes markup. */

const KEPT = 4_000_000;
/* Characters shown: beyond that the oldest go, and the page says so; the whole is a link away. */
const AGAIN = 2000;
/* Milliseconds until the next try where the browser has given up: a proxy answered instead of us. */
const SHAPES = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 9: "strike"};
const ENDS = {22: ["bold", "dim"], 23: ["italic"], 24: ["underline"], 29: ["strike"]};
const BEGUN = /\x1b(?:\[[\d;:]{0,60})?$/;
const ACTS = /[\x00-\x08\x0b-\x1f\x7f]/g;
const HIDES = /[\x80-\x9f]|[\u2028\u2029]|\p{Cf}/gu;

function visible(text) {
  return text
    .replaceAll("\r\n", "\n")
    .replace(ACTS, (sign) => String.fromCharCode(sign === "\x7f" ? 0x2421 : 0x2400 + sign.charCodeAt(0)))
    .replace(HIDES, (sign) => "\\u" + sign.codePointAt(0).toString(16).padStart(4, "0"));
}

class Stream {
  /* One of the two: characters may be cut between events, and colours last. */
  constructor(name) {
    this.decoder = new TextDecoder("utf-8", {ignoreBOM: true});
    this.classes = new Set(name === "stderr" ? ["err"] : []);
    this.rest = "";
  }

  *read(octets, last = false) {
    const text = this.rest + this.decoder.decode(octets, {stream: !last});
    const cut = last ? text.length : (BEGUN.exec(text)?.index ?? text.length - text.endsWith("\r"));
    this.rest = text.slice(cut);
    const parts = text.slice(0, cut).split(/\x1b\[([\d;:]*)m/);
    for (const [number, part] of parts.entries()) {
      if (number % 2) this.obey(part.split(";").map(Number));
      else if (part) yield [[...this.classes].join(" "), visible(part)];
    }
  }

  only(letter, name) {
    for (const one of this.classes) if (one[0] === letter && /\d/.test(one[1])) this.classes.delete(one);
    if (name !== undefined) this.classes.add(letter + name);
  }

  obey(codes) {
    while (codes.length) {
      const code = codes.shift();
      if (code === 0) this.classes = new Set(this.classes.has("err") ? ["err"] : []);
      else if (SHAPES[code]) this.classes.add(SHAPES[code]);
      else if (ENDS[code]) ENDS[code].forEach((name) => this.classes.delete(name));
      else if (code === 38 || code === 48) {
        const [kind, colour] = codes.splice(0, codes[0] === 5 ? 2 : 4);
        if (kind === 5 && colour < 16) this.only(code === 38 ? "f" : "g", colour);
      } else if (code >= 30 && code <= 49) this.only(code < 40 ? "f" : "g", code % 10 < 8 ? code % 10 : undefined);
      else if (code >= 90 && code <= 107) this.only(code < 100 ? "f" : "g", 8 + (code % 10));
    }
  }
}

function follow(place, ended = () => {}) {
  const streams = {stdout: new Stream("stdout"), stderr: new Stream("stderr")};
  const address = new URL(place.dataset.tail, document.baseURI);
  address.searchParams.set("apart", "true");
  let offset = Number(place.dataset.offset ?? 0);
  let length = place.textContent.length;

  function write(classes, text) {
    const page = document.scrollingElement;
    const below = page.scrollHeight - page.scrollTop - page.clientHeight < 40;
    const span = document.createElement("span");
    if (classes) span.className = classes;
    span.textContent = text;
    place.append(span);
    length += text.length;
    while (length > KEPT && place.childNodes.length > 2) {
      length -= place.firstChild.textContent.length;
      place.firstChild.remove();
      place.dataset.cut = "true";
    }
    if (below) page.scrollTop = page.scrollHeight;
  }

  function said(name, octets, last) {
    for (const [classes, text] of streams[name].read(octets, last)) write(classes, text);
  }

  function open() {
    address.searchParams.set("offset", offset);
    const source = new EventSource(address);
    const on = (name, act) => source.addEventListener(name, (event) => {
      act(event);
      offset = Math.max(offset, Number(event.lastEventId));
    });
    for (const name of ["stdout", "stderr"]) {
      on(name, (event) => {
        const octets = Uint8Array.from(atob(event.data), (sign) => sign.charCodeAt(0));
        const known = offset - (Number(event.lastEventId) - octets.length);
        said(name, octets.subarray(Math.max(0, known)));
      });
    }
    on("gap", (event) => write("gap", `\n[… ${event.data} bytes left out …]\n`));
    on("lost", () => write("gap", "\n[… the rest could not be followed: load the page anew …]\n"));
    on("end", (event) => {
      source.close();
      for (const name of Object.keys(streams)) said(name, new Uint8Array(), true);
      ended(JSON.parse(event.data).status);
    });
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) setTimeout(open, AGAIN);
    };
  }

  open();
}

const place = document.querySelector("[data-tail]");
if (place) follow(place, () => location.reload());
