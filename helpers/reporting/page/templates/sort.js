(() => {
  const figure = (text) => {
    const found = text.replaceAll(",", "").replace("\u2212", "-").match(/^[+-]?\d*\.?\d+(?:e[+-]?\d+)?/i);
    return found ? parseFloat(found[0]) : NaN;
  };
  const compare = (a, b, numeric, sign) => {
    if (!numeric) return sign * a.localeCompare(b);
    const x = figure(a), y = figure(b);
    if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);
    return sign * (x - y);
  };
  const sort = (table, head, column) => {
    const up = head.getAttribute("aria-sort") !== "ascending", body = table.tBodies[0];
    table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const text = (row) => (row.cells[column] ? row.cells[column].textContent.trim() : "");
    const numeric = head.classList.contains("assay-number");
    [...body.rows].sort((a, b) => compare(text(a), text(b), numeric, up ? 1 : -1)).forEach((row) => body.append(row));
  };
  document.querySelectorAll(".assay-table:not([data-sorts])").forEach((table) => {
    table.dataset.sorts = "true";
    if (table.tBodies[0].rows.length < 2) return;
    table.querySelectorAll("thead th").forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => sort(table, head, column));
    });
  });
})();
