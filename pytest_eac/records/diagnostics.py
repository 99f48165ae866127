"""What there is to know of a solved edit besides its cost: how well its problem was posed."""

from dataclasses import dataclass

from pytest_eac.strict_json import Count, Number, Share, Size


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixDiagnostics:
    """How the change of one matrix was solved for one edit.

    ``C`` is the second moment of the matrix's inputs, with its ridge as it is solved with; ``k``
    is the key of the bare prompt, and ``kbar`` its mean over contexts.

    Attributes:
        module: path of the module.
        token_ratio: tokens that ``C`` is the mean of, for each input of the matrix; ``None``
            without a ``C``.
        condition: the largest eigenvalue of ``C`` over its smallest; ``None`` without a ``C``, and
            where it is singular.
        key_product: ``k . u`` with ``u = C^-1 kbar`` (``kbar`` without a ``C``): the denominator of
            ROME's update. For an average input of the text that ``C`` was measured on it is about
            the number of inputs. ``None`` where ``C`` is singular.
        rank: how many directions a projecting method may write to; ``None`` for other methods.
        energy: what those directions have of the trace of ``C`` (without its ridge), which is the
            mean squared length of the text's inputs; ``None`` likewise.
        key_share: what they have of the squared length of ``kbar``; ``None`` likewise.
    """

    module: str
    token_ratio: Size | None = None
    condition: Size | None = None
    key_product: Number | None = None
    rank: Count | None = None
    energy: Share | None = None
    key_share: Share | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostics:
    """How an edit was solved and written.

    Attributes:
        matrices: one for each edited matrix, in the order in which they were solved.
        value_norm: ``||v*||``, the norm of the value.
        missed: what is missing of the value after the write, on the bare prompt: ``||v - v*|| /
            ||v* - v_init||`` for the layer's output ``v`` at the subject. At 0 the value is met, at
            1 the output is as far from it as before. ``None`` where the value is the output before
            the edit, or was not measured.
    """

    matrices: tuple[MatrixDiagnostics, ...] = ()
    value_norm: Size | None = None
    missed: Size | None = None
