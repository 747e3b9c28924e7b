// Passkeys. A form with data-passkey asks the browser for one when it is sent, and is sent with what that answered.
for (const form of document.querySelectorAll("form[data-passkey]")) {
  const say = t => { form.querySelector("[role=status]").textContent = t; };
  say(globalThis.PublicKeyCredential?.parseCreationOptionsFromJSON ? "" : "This browser knows no passkeys, or not at this address.");
  form.addEventListener("submit", async e => {
    if (form.elements.answer.value) return;
    e.preventDefault();
    say("Waiting for the passkey…");
    try {
      const o = JSON.parse(form.dataset.options).publicKey, P = PublicKeyCredential;
      const k = form.dataset.passkey === "create"
        ? await navigator.credentials.create({ publicKey: P.parseCreationOptionsFromJSON(o) })
        : await navigator.credentials.get({ publicKey: P.parseRequestOptionsFromJSON(o) });
      form.elements.answer.value = JSON.stringify(k.toJSON());
      form.requestSubmit();
    } catch (err) { say(`Not done: ${err.message}`); }
  });
}
