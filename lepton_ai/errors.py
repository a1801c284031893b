"""Every error that Lepton raises on purpose.

The tree (catch the root to catch them all)::

    LeptonError
      + ConfigError            ValueError    an argument or setting that cannot be
        - UnknownNameError     LookupError   a name that no registry holds ("did you mean ...?")
      + ShapeError             ValueError    arrays whose shapes do not fit
      + DataError              ValueError    values that a field, a task or a source refuses
        - EmptyDataError       ValueError    no example is left to work on
        - SourceError          OSError       a source that is missing, unreadable or not recognised
        - LimitError           ValueError    input larger than the limit that guards against it
      + GateError              ValueError    data that the quality gate stopped
      + NotReadyError          RuntimeError  used before it was built, fitted or compiled
      + TrainingError          RuntimeError  training cannot go on (a loss that is not a number)
      + ArtifactError          ValueError    a saved model or data set that cannot be read
        - IntegrityError       ValueError    a file is missing or its bytes are not those saved
        - UnsafeFormatError    ValueError    a format that could run code (pickle and its kin)
      + CertificateError       RuntimeError  a form that does not answer like its original
      + ServiceError           RuntimeError  a service that cannot start, or answers with an error
      + WorkspaceError         OSError       the workspace folder cannot be used
      + MissingExtraError      ImportError   an optional part that is not installed

Each message says what was expected, what was received, and what to type.
"""

from __future__ import annotations


class LeptonWarning(UserWarning):
    """Something that is done as asked, but changes what a figure means."""


class LeptonError(Exception):
    """Root of every error that Lepton raises on purpose."""


class ConfigError(LeptonError, ValueError):
    """An argument or a setting that cannot be."""


class UnknownNameError(ConfigError, LookupError):
    """A name that no registry holds; the message offers the near misses."""


class ShapeError(LeptonError, ValueError):
    """Arrays or tensors whose shapes do not fit."""


class DataError(LeptonError, ValueError):
    """Values that a field, a task or a source refuses."""


class EmptyDataError(DataError):
    """No example is left to work on."""


class SourceError(DataError, OSError):
    """A source that is missing, unreadable or not recognised."""


class LimitError(DataError):
    """Input larger than the limit that guards against it."""


class GateError(LeptonError, ValueError):
    """Data that the quality gate stopped."""


class NotReadyError(LeptonError, RuntimeError):
    """Something used before it was built, fitted or compiled."""


class TrainingError(LeptonError, RuntimeError):
    """Training cannot go on, for example because the loss is not a number."""


class ArtifactError(LeptonError, ValueError):
    """A saved model or data set that cannot be read."""


class IntegrityError(ArtifactError):
    """A file of an artifact is missing or its bytes are not those that were saved."""


class UnsafeFormatError(ArtifactError):
    """A file format that could run code when it is read."""


class CertificateError(LeptonError, RuntimeError):
    """A form of a model that does not answer like the original."""


class ServiceError(LeptonError, RuntimeError):
    """A service that cannot start, cannot be reached, or answers with an error."""


class WorkspaceError(LeptonError, OSError):
    """The workspace folder cannot be used."""


class MissingExtraError(LeptonError, ImportError):
    """An optional part of Lepton that is not installed."""
