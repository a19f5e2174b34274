/** Offers a file to the user. */
export function save(name: string, content: string | Blob, type: string): void {
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(new Blob([content], { type }));
  anchor.download = name;
  anchor.click();
  // The download may start later than the click.
  setTimeout(() => URL.revokeObjectURL(anchor.href), 60_000);
}
