// Numbers as the page writes them.

/** A cosine or a difference of cosines: three digits, and a minus sign of the width of a digit. */
export function cosine(value: number): string {
  return Number.isNaN(value) ? "–" : value.toFixed(3).replace("-", "−");
}

// Making a format takes longer than using it, and a page has hundreds of numbers.
const formats = new Map<number, Intl.NumberFormat>();

/** A column's number with its number of digits; a dash where it is not known. */
export function number(value: number, digits: number): string {
  if (Number.isNaN(value)) return "–";
  if (!formats.has(digits)) formats.set(digits, new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  return formats.get(digits)!.format(value).replace("-", "−");
}

/** How often of a million: small ones have a digit after the point. */
export function rate(value: number): string {
  return number(value, value < 100 ? 1 : 0);
}

const threeDigits = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** An activation: three significant digits. */
export function activation(value: number): string {
  return threeDigits.format(value);
}
