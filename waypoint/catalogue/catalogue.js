(() => {
  const form = document.querySelector("form.filters");
  const search = document.getElementById("search");
  const choices = ["schema", "domain", "owner", "pii"].map((id) => document.getElementById(id));
  const reset = form.querySelector("button");
  const count = document.getElementById("count");
  const nothing = document.getElementById("nothing");

  const entries = [...document.querySelectorAll(".entry")].map((element) => ({
    element,
    found: element.querySelector(".found"),
    columns: [...element.querySelectorAll("[data-column]")].map((row) => row.dataset.column),
    // what is derived says nothing new
    text: `${element.id} ${element.querySelector("summary").textContent} ${[
      ...element.querySelectorAll(".body > p, dl, .scroll, .rules, .lineage"),
    ]
      .map((part) => part.textContent)
      .join(" ")}`.toLowerCase(),
  }));

  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { element, found, columns, text } of entries) {
      const fits =
        choices.every((choice) => !choice.value || element.dataset[choice.id] === choice.value) &&
        words.every((word) => text.includes(word));
      element.hidden = !fits;
      shown += fits;
      const named = words.length
        ? columns.filter((column) => words.some((word) => column.toLowerCase().includes(word)))
        : [];
      found.hidden = !named.length;
      found.textContent = named.length ? `Columns: ${named.slice(0, 8).join(", ")}` : "";
    }
    for (const section of document.querySelectorAll("section.part")) {
      section.hidden = !section.querySelector(".entry:not([hidden])");
    }
    const filtered = words.length > 0 || choices.some((choice) => choice.value);
    count.textContent = filtered ? `${shown} of ${entries.length}` : `${entries.length} in all`;
    reset.hidden = !filtered;
    nothing.hidden = shown > 0;
  };

  // a link leads to an entry, or to a column in it, whatever is filtered or closed
  const follow = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const entry = target?.closest(".entry");
    if (!entry) return;
    if (entry.hidden) {
      form.reset();
      filter();
    }
    entry.open = true;
    target.scrollIntoView();
    if (target === entry) entry.querySelector("summary").focus({ preventScroll: true });
  };

  for (const { element } of entries) {
    element.querySelector("summary").addEventListener("click", () => {
      // what is opened can be sent to somebody
      if (!element.open) history.replaceState(null, "", `#${encodeURIComponent(element.id)}`);
    });
  }
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && event.target === search) {
      search.value = "";
      filter();
    }
    const typing = event.target.closest?.("input, select, textarea");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    search.focus();
  });
  window.addEventListener("hashchange", follow);
  filter();
  follow();
  document.documentElement.dataset.ready = "";
})();
