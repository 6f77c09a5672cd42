/* The words of a forced choice as buttons: kinds, colours and finishes. `make` makes an element. */

const UNKNOWN = "?";
const QUESTIONS = { kind: "Kind", color: "Colour", finish: "Finish" };

/** A group of buttons for each property; `choose` gets the property and the value. */
function wordGroups({ properties, swatches }, choose) {
  return Object.keys(properties).map((name) => {
    const buttons = [...properties[name], UNKNOWN].map((value) => {
      const swatch = name === "color" && value !== UNKNOWN ? [make("span", { class: "swatch" })] : [];
      if (swatch.length) swatch[0].style.background = swatches[value];
      return make("button", { type: "button", class: "button", "data-name": name, "data-value": value,
        click: () => choose(name, value) }, ...swatch, value === UNKNOWN ? "cannot tell" : value);
    });
    return make("fieldset", {}, make("legend", {}, QUESTIONS[name] || name), make("div", { class: "words" }, ...buttons));
  });
}

/** Press the buttons of what is chosen, in an element, and no others. */
function pressChosen(within, chosen) {
  within.querySelectorAll("[data-name]").forEach((one) => {
    one.setAttribute("aria-pressed", chosen[one.dataset.name] === one.dataset.value);
  });
}
