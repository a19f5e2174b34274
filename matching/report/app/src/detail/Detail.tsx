interface Props {
  sae: number;
  latent: number;
  other: number;
  open: (sae: number, latent: number) => void;
}

/** One latent beside its counterparts. */
export function Detail({ sae, latent }: Props) {
  return <p>SAE {sae}, latent {latent}</p>;
}
