"""All figures of the paper in its order: what each is called, how to read it, and what it needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# What a figure needs:
EITHER = "the matching of the decoders or of the encoders"
BOTH = "both matchings"
SEEDS = "three SAEs or more, each matched with every other"
FIRING = "both matchings, and how often each latent fires"
SERIES = "a series of matches"
SCORES = "scores of explanations"

COMMANDS = {
    BOTH: "twinsae match A B --side both --out MATCH",
    SEEDS: "twinsae match-all SAE SAE SAE --out MATCHES",
    FIRING: "twinsae fire SAE SAE --activations STORE",
    SERIES: "twinsae figure {name} SERIES",
    SCORES: "twinsae figure {name} MATCHES --scores SCORES.csv",
}
"""What would make a figure possible, or the figure itself."""

OTHERS = "one of the paper's Figs 6 to 9"
BLOG = "the authors' blog"
NOTEBOOK = "the authors' notebook"


@dataclass(frozen=True)
class Entry:
    """One figure."""

    name: str
    """As in `twinsae figure`."""
    title: str
    paper: str
    """Where it stands: "the paper's Fig 1"."""
    needs: str
    reads: str = ""
    """How to read it, in a sentence. The report never draws those that have none."""
    differs: str = ""
    """What we draw differently."""
    anchor: str = ""
    """Its address on the page; by default the name."""
    first_pair: bool = False
    """Whether it is of the first pair where there are several: it has one row a latent in its CSV,
    which of 36 pairs of 131,072 would be 500 MB."""
    view: Mapping[str, str] = field(default_factory=dict)
    """The same in the latent browser, as choices of its address; empty where there is none."""

    @property
    def id(self) -> str:
        """The id of its element on the page."""
        return self.anchor or self.name

    @property
    def command(self) -> str:
        """What would make it."""
        if self.name == "explanations":
            return f"twinsae figure {self.name} SCORES.csv"
        return COMMANDS.get(self.needs, "").format(name=self.name)


CATALOGUE = (
    Entry(
        "alignment",
        "Both matchings at once",
        "the paper's Fig 1",
        BOTH,
        "Each point is a latent of the first SAE: right means that its decoder found a like one, "
        "up that its encoder did, and shared latents lie beyond both dashed lines.",
        "In the paper's legend the two colours are swapped; the dotted lines are ours, and mark "
        "what unrelated directions reach.",
        anchor="fig-1",
        first_pair=True,
        view={"x": "decoder", "y": "encoder"},
    ),
    Entry(
        "unique-by-seeds",
        "Found by one SAE alone, by the number of SAEs",
        "the paper's Fig 2",
        SEEDS,
        "The share of one SAE's latents that none of n - 1 others has: where it levels off, more "
        "seeds would not find the rest again.",
        "The mean is over all sets of n SAEs and each as the first, where the paper draws 20 at "
        "random; the fitted curve is drawn, too.",
        anchor="fig-2",
    ),
    Entry(
        "frequency",
        "How often a latent fires, by how alike it is elsewhere",
        "the paper's Fig 3",
        FIRING,
        "Each point is a latent: right means more alike in the other SAEs, up that it fires more "
        "often; the colour says how many SAEs have it.",
        "Similarity is the mean over all other SAEs, where the paper takes one pair a group; the "
        "axis of counts is unbroken, with a line for latents that never fire.",
        anchor="fig-3",
        view={"x": "decoder", "y": "fires_per_million", "log": "y"},
    ),
    Entry("by-size", "Shared latents by size", "the paper's Fig 4, left", SERIES),
    Entry("by-k", "Shared latents by k", "the paper's Fig 4, middle", SERIES),
    Entry("by-tokens", "Shared latents by tokens", "the paper's Fig 4, right", SERIES),
    Entry("by-layer", "Shared latents by layer", "the paper's Fig 5, left", SERIES),
    Entry("by-model", "Shared latents by model", "the paper's Fig 5, middle", SERIES),
    Entry("by-architecture", "Shared latents by architecture", "the paper's Fig 5, right", SERIES),
    Entry(
        "thresholds",
        "Shared latents by the threshold",
        OTHERS,
        BOTH,
        "How much counts as shared if the bar is set elsewhere; where the three lines meet, it no "
        "longer matters how partners are chosen.",
        "With several pairs, lines are means and bands reach from the lowest pair to the highest.",
        view={"show": "and"},
    ),
    Entry(
        "max-vs-matched",
        "Cosine of the match against the best cosine",
        OTHERS,
        EITHER,
        "Each point is a latent: on the diagonal its match is also its nearest latent, above it "
        "another one is nearer and has a better partner.",
        "All latents are drawn.",
        first_pair=True,
        view={"x": "decoder", "y": "decoder.best"},
    ),
    Entry(
        "max-cosine",
        "Best cosine with any latent",
        OTHERS,
        EITHER,
        "Two heaps mean two kinds of latents, found again and not; the dotted line is what "
        "unrelated directions reach.",
        "Decoder and encoder have one scale.",
    ),
    Entry("cosine-by-size", "Mean cosines by size", OTHERS, SERIES),
    Entry("cosine-by-k", "Mean cosines by k", OTHERS, SERIES),
    Entry("cosine-by-tokens", "Mean cosines by tokens", OTHERS, SERIES),
    Entry(
        "scores",
        "Scores by how alike a latent is elsewhere",
        OTHERS,
        SCORES,
        "As Fig 3, with the score of each latent's explanation upwards.",
        view={"x": "decoder", "y": "score.score"},
    ),
    Entry(
        "score-histogram",
        "Scores, by the number of SAEs",
        OTHERS,
        SCORES,
        "A bar is cut by how many SAEs have the latents in it.",
    ),
    Entry(
        "score-pairs",
        "Score against the match's score",
        OTHERS,
        SCORES,
        "Each point is a pair of matched latents; the colour is the cosine of their decoders.",
    ),
    Entry(
        "explanations",
        "How alike explanations are",
        OTHERS,
        SCORES,
        "Each line counts the cosines of explanations with those of other latents, chosen in one "
        "way.",
    ),
    Entry(
        "donut",
        "In exactly n SAEs",
        BLOG,
        SEEDS,
        "The ring is an SAE's latents, cut by how many SAEs have them.",
        "Shares are means over the SAEs, in the order of n.",
    ),
    Entry("by-site", "Shared latents by size and position", BLOG, SERIES),
    Entry(
        "heat-map",
        "Which SAE shares how much of which",
        NOTEBOOK,
        SEEDS,
        "A row is the SAE whose latents are counted, a column the SAE that shares them.",
    ),
    Entry(
        "counts-by-seeds",
        "Latents in exactly n SAEs, SAE by SAE",
        NOTEBOOK,
        SEEDS,
        "Lines that lie on one another mean that no seed is special.",
    ),
    Entry(
        "matched-cosine",
        "Cosines of matched latents",
        NOTEBOOK,
        BOTH,
        "The lower part of a bar are latents whose two matchings name the same partner: where "
        "cosines are high, nearly all do.",
        "Decoder and encoder have one scale.",
    ),
    Entry(
        "explained-cosine",
        "Explanations by how alike their latents are",
        NOTEBOOK,
        SCORES,
        "Each point is a matched latent: right means more alike, up that its explanation is too.",
        first_pair=True,
    ),
)
