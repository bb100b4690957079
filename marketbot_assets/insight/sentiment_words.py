"""Words that have a direction in a headline about a company: lists for the rules that stand in for a language model. Facts only.

Chosen before any result was looked at and never tuned on one: the word list of Henry (2008), "Are investors influenced by how
earnings press releases are written?", Journal of Business Communication 45, page 387 (104 and 85 words, made for this kind of
text), and the words by which analysts, companies and exchanges announce. A word that may mean either is in neither list of ours.
Not here: how words are counted (`heuristic`), which headlines are one story (`stories`).
"""

HENRY_POSITIVE = frozenset(
    """
    positive positives success successes successful succeed succeeds succeeding succeeded accomplish accomplishes accomplishing
    accomplished accomplishment accomplishments strong strength strengths certain certainty definite solid excellent good leading
    achieve achieves achieved achieving achievement achievements progress progressing deliver delivers delivered delivering leader
    pleased reward rewards rewarding rewarded opportunity opportunities enjoy enjoys enjoying enjoyed encouraged encouraging up
    increase increases increasing increased rise rises rising rose risen improve improves improving improved improvement
    improvements strengthen strengthens strengthening strengthened stronger strongest better best more most above record high
    higher highest greater greatest larger largest grow grows growing grew grown growth expand expands expanding expanded
    expansion exceed exceeds exceeded exceeding beat beats beating
    """.split()
)
HENRY_NEGATIVE = frozenset(
    """
    negative negatives fail fails failing failure weak weakness weaknesses difficult difficulty hurdle hurdles obstacle obstacles
    slump slumps slumping slumped uncertain uncertainty unsettled unfavorable downturn depressed disappoint disappoints
    disappointing disappointed disappointment risk risks risky threat threats penalty penalties down decrease decreases decreasing
    decreased decline declines declining declined fall falls falling fell fallen drop drops dropping dropped deteriorate
    deteriorates deteriorating deteriorated worsen worsens worsening weaken weakens weakening weakened worse worst low lower lowest
    less least smaller smallest shrink shrinks shrinking shrunk below under challenge challenges challenging challenged
    """.split()
)
POSITIVE_VERBS = frozenset("gain gains lifts outperforms raises raised upgrade upgrades upgraded wins".split())
NEGATIVE_VERBS = frozenset(
    """
    cuts downgrade downgrades downgraded faces halts investigation lawsuit loss losses lowered lowers misses missed plunges probe
    recall recalls underperforms warning warns weaker
    """.split()
)
POSITIVE = HENRY_POSITIVE | POSITIVE_VERBS
NEGATIVE = HENRY_NEGATIVE | NEGATIVE_VERBS
DIRECTED = POSITIVE | NEGATIVE
