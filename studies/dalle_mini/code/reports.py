"""What the stages of this study write for one another, for verdicts, tables and figures; see `lib.evidence.report`."""

from typing import Annotated

from pydantic import Field

from lib.evidence.report import Accuracy, Interval, Number, Pairs, Report


class SampleSet(Report):
    """One entry of build/samples/sets.json: what is drawn in `<name>.npy`."""

    name: str
    model: str
    """which training, a key of `dalle_mini.languages`"""
    language: str
    """of the captions"""
    guidance: float
    """super-conditioning scale"""
    ids: list[str]
    """prompts, or the numbers of test pictures"""


# ---------------------------------------------------------------------------------------------------------- training


class Step(Report):
    """One entry of a history."""

    step: int
    loss: float
    """nats a token, the mean since the entry before"""


class HeldOut(Report):
    """A training on pictures that it never saw."""

    nats_per_token: Interval
    top1: Interval
    """share of tokens that are the likeliest, given those before"""


class Training(Report):
    """build/dalle_mini/<name>/metrics.json"""

    tokenizer: str
    parameters: int
    languages: list[str]
    """of the captions"""
    unigram_nats: float
    """nats a token, of token frequencies alone"""
    val: HeldOut
    test: HeldOut
    caption_gain: dict[str, Interval]
    """nats a token, by language: by how much a picture's own caption makes it likelier than another's"""
    history: list[Step]


class Trainings(Report):
    """results/<profile>/dalle_mini_training.json"""

    both: Training
    english: Training


class Trial(Report):
    """A short training."""

    learning_rate: float
    """peak"""
    val_nats: Interval
    """nats a token on the validation split"""
    history: list[Step]


class Search(Report):
    """results/<profile>/dalle_mini_search.json"""

    optimizer: str
    steps: int
    best: float
    """the learning rate of the lowest loss"""
    runs: list[Trial]


# ---------------------------------------------------------------------------------------------------------- pictures


class Measured(Report):
    """One set of samples; intervals are over prompts, those of FID and KID over pictures."""

    scale: float
    """of super-conditioning"""
    pictures: int
    accuracy: Accuracy | None = None
    """GenEval's: what is asked for is there"""
    exact: Accuracy | None = None
    """and nothing else is"""
    clip_score: Interval
    clip_score_pretrained: Interval | None = None
    diversity: Interval
    pictures_in_fid: int | None = None
    fid: Interval | None = None
    kid: Interval | None = None
    fid_inception: Interval | None = None
    kid_inception: Interval | None = None


class Candidates(Report):
    """Exact accuracy of the best of the first n candidates."""

    n: int
    ranked: Interval
    """the best by CLIP"""
    oracle: Interval
    """the best by the reader"""


class Ranking(Report):
    """Best of n by CLIP, judged by the reader's exact accuracy."""

    candidates: int
    """for each prompt and seed"""
    prompts: int
    scale: float
    curve: list[Candidates] | None = None
    unranked: Interval | None = None
    """of all candidates"""
    accuracy: Pairs | None = None
    """of all candidates, and of the best by CLIP"""
    gain_over_prompts: Interval | None = None


class Conditioning(Report):
    """Without super-conditioning and with it."""

    accuracy: Pairs | None = None


class Claims(Report):
    """Exact accuracies in pairs, where the data and the prompts have them."""

    heldout: Pairs | None = None
    relations: Pairs | None = None
    counts: Pairs | None = None
    chinese: Pairs | None = None


class Evaluation(Report):
    """results/<profile>/dalle_mini.json"""

    unguided: Measured
    guided: Measured
    sweep: list[Measured]
    """the model of all languages at every scale"""
    languages: dict[str, dict[str, Measured]]
    """by training, by language of the prompts"""
    super_conditioning: Conditioning
    """by exact accuracy"""
    super_conditioning_geneval: Conditioning
    reranking: Ranking
    reranking_guided: Ranking
    claims: Claims
    reconstructions: dict[str, Interval]
    """see `lib.metrics.scene_accuracy.reader_quality`: the most that any model of these tokens can reach"""


class Painting(Report):
    """results/<profile>/painting.json: one prompt; of each of its pictures, best first, 100 × CLIP's cosine."""

    prompt: str
    scores: list[float]


# ------------------------------------------------------------------------------------------------------ against DALL·E


class Model(Report):
    """One model's configuration; what nobody published is None."""

    parameters: int
    billions_rounded: int | None = None
    """parameters, where a claim is about them"""
    image_vocabulary: int
    image_tokens: int
    text_vocabulary: int
    text_length: int
    """tokens"""
    text_reading: str
    training_pairs: int | None


class Models(Report):
    """What is compared."""

    dalle: Model
    mini_2021: Model
    mini_2022: Model
    mega_2022: Model


class TimesFewer(Report):
    """Parameters of DALL·E over those of the first DALL·E Mini."""

    counted: float
    printed: float
    """with the paper's rounded 12 billion"""
    printed_rounded: int


class Possibility(Report):
    """Whether arithmetic leaves a claim possible."""

    possible: bool
    because: str


Ends = Annotated[list[Number], Field(min_length=2, max_length=2)]  # of a range


class Costs(Report):
    """The cost claims as arithmetic: operations (FLOP) and shares of the peak of one TPU v3-8; hours; US dollars."""

    pair_flops: Ends
    pair_6nd_flops: Ends
    """by the usual estimate"""
    pairs: Ends
    pairs_planned: Ends
    """by the training script's number of passes"""
    pairs_by_speed: Ends
    """by a comment in the training code"""
    training_flops: Ends
    peak: Ends
    """FLOP/s"""
    hours: Ends
    share: Ends
    planned_share: Ends
    speed_share: Ends
    later_run_share: Ends
    """of the training script as last committed"""
    best_share: Ends
    """that was published"""
    dalle_training_flops: Ends
    dalle_times_planned: Ends
    dollars_on_demand: Ends
    dollars_preemptible: Ends
    break_even_dollars_per_hour: Ends
    break_even_hours_on_demand: Ends
    break_even_hours_preemptible: Ends
    three_days: Possibility
    price: Possibility


class Comparison(Report):
    """results/<profile>/compare_dalle.json"""

    models: Models
    costs: Costs
    times_fewer: TimesFewer
