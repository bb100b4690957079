"""Every exception of the project, one tree, drawn here. A branch answers one question: retry, skip or halt?

    MarketbotError
    |-- SetupError              the command cannot start: exit 2, nothing was written
    |   |-- MandateError        the mandate file is missing, unreadable or says something impossible
    |   |-- HomeError           the installation's folder cannot be read or written
    |   `-- UsageError          a session, order or argument that does not exist
    |-- ProviderError           the outside world failed: retry (reads only), else the session has no data
    |-- WorkError               a piece of work failed on its worker, or the workers are gone: what was finished stays, ask again
    |-- AnchorError             a place outside of the home did not take or show a checkpoint: retry, the checkpoint stays ours
    |-- SessionRefused          this session may not run now: skip it, the reason is recorded
    |   `-- AlreadySending      another run is sending this account's orders: leave it to that one
    `-- HaltError               trading stops until someone or a rule re-arms it
        |-- StoreError          an object is missing, altered or was never declared as an input
        |   |-- MissingObject   nothing lies under the object's name
        |   `-- AlteredInput    a replay's input is not what it was and cannot be made again: judge that one first
        |-- LedgerError         the ledger contradicts itself or cannot be written
        |   |-- Equivocation    the same key was appended with another body, or one size signed with another root
    |   |-- StaleToken      another run has taken over the sending of this account: stop, it goes on
        |   `-- SignerRefused   the signer would contradict what it has signed, or cannot be asked
        |       `-- SignerConflict  the signer's own head has another size than the caller believes: prove from there
        |-- NoVerdict           no APPROVED verdict of the risk engine exists for exactly this batch
        `-- BrokerError         the broker answered something that cannot be trusted

A message says what was expected, what was found, which instrument and session, and what to do.
"""


class MarketbotError(Exception):
    """Base of all errors that the project raises on purpose."""


class SetupError(MarketbotError):
    """The command cannot start."""


class MandateError(SetupError):
    """The mandate file cannot be used."""


class HomeError(SetupError):
    """The installation's folder cannot be used."""


class UsageError(SetupError):
    """A session, order or argument that does not exist."""


class ProviderError(MarketbotError):
    """A provider gave no usable answer."""


class WorkError(MarketbotError):
    """A task failed on its worker, or there is no worker for it."""


class AnchorError(MarketbotError):
    """An anchor did not take a checkpoint, or cannot show what it keeps."""


class SessionRefused(MarketbotError):
    """The session may not run now."""


class AlreadySending(SessionRefused):
    """Another run is sending this account's orders."""


class HaltError(MarketbotError):
    """Trading stops."""


class StoreError(HaltError):
    """The store's evidence is missing, altered or undeclared."""


class MissingObject(StoreError):
    """Nothing lies under an object's name."""


class AlteredInput(StoreError):
    """What a replay reads is missing or altered and cannot be rebuilt either."""


class LedgerError(HaltError):
    """The ledger contradicts itself or cannot be written."""


class Equivocation(LedgerError):
    """The same key was appended with another body."""


class StaleToken(LedgerError):
    """The run that appends is no longer the one that may send."""


class SignerRefused(LedgerError):
    """The signer would contradict what it has signed, or cannot be asked."""


class SignerConflict(SignerRefused):
    """The signer's own head has another size than the caller believes. `size`: that size."""

    def __init__(self, message: str, size: int) -> None:
        super().__init__(message)
        self.size = size


class NoVerdict(HaltError):
    """No APPROVED verdict exists for exactly this batch."""


class BrokerError(HaltError):
    """The broker's answer cannot be trusted."""
