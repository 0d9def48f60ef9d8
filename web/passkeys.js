// The only script of the pages: it asks the browser for a passkey, and puts the answer into a form that is posted as
// any other. Without it, and where a browser knows no passkeys, the forms stay hidden and the password does everything.
"use strict";

const bytes = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=+$/, "");

const read = (given) => {
  const options = { ...given, challenge: bytes(given.challenge) };
  if (given.user) options.user = { ...given.user, id: bytes(given.user.id) };
  for (const list of ["excludeCredentials", "allowCredentials"]) {
    if (given[list]) options[list] = given[list].map((each) => ({ ...each, id: bytes(each.id) }));
  }
  return options;
};

const write = (credential) => {
  const response = {};
  for (const member of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[member]) response[member] = text(credential.response[member]);
  }
  return JSON.stringify({ id: credential.id, rawId: text(credential.rawId), type: credential.type, response });
};

let offered = new AbortController();

const ask = async (form, mediation) => {
  offered.abort();
  offered = new AbortController();
  const publicKey = read(JSON.parse(form.dataset.options));
  const request = { publicKey, signal: offered.signal };
  const credential =
    form.dataset.passkey === "create"
      ? await navigator.credentials.create(request)
      : await navigator.credentials.get(mediation ? { ...request, mediation } : request);
  form.elements.answer.value = write(credential);
  form.submit();
};

const prepare = (form) => {
  const problem = form.querySelector("[data-problem]");
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.hidden = true;
    try {
      await ask(form);
    } catch (error) {
      problem.textContent = error.name === "InvalidStateError" ? problem.dataset.known : problem.dataset.problem;
      problem.hidden = false;
    }
  });
};

if (window.PublicKeyCredential) {
  for (const form of document.querySelectorAll("form[data-passkey]")) prepare(form);
}
