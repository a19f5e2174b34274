// Numbers as the page writes them.

/** A cosine or a difference of cosines: three digits, and a minus sign of the width of a digit. */
export function cosine(value: number): string {
  return Number.isNaN(value) ? "–" : value.toFixed(3).replace("-", "−");
}

/** A column's number with its number of digits; a dash where it is not known. */
export function number(value: number, digits: number): string {
  if (Number.isNaN(value)) return "–";
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");
}

/** An activation: three significant digits. */
export function activation(value: number): string {
  return value.toLocaleString("en", { maximumSignificantDigits: 3 });
}
