"""The one tree of errors that a stage may end in.

AssayError
├── InvalidInput            the user's input is refused before work starts
│   ├── InvalidParameter    a notebook parameter
│   ├── InvalidDataset      a row of a dataset: file, line, field
│   ├── DatasetRefused      the data hold more of a finding than the use case allows
│   ├── UnknownTask         lm-eval knows no such task
│   ├── InvalidPolicy       the policy file: file, line, field
│   ├── InvalidCriteria     a use case's criteria: file, line, field; or a line about what nothing measures
│   ├── InvalidResults      what another tool wrote: file, line
│   ├── RefusedModel        ingestion found something that may not come in
│   ├── NotApproved         the registry does not say that this version may be used
│   └── OtherRun            a file that another run wrote, or one about another model
├── NotFound                a named thing does not exist
│   ├── ModelNotFound       says the closest names
│   ├── NoMatch             no approved version meets the constraints
│   └── ArtifactMissing     an earlier stage did not leave its file
├── Unreachable             a server did not answer within the bounded retries
│   ├── RegistryUnreachable
│   ├── StoreUnreachable
│   ├── SourceUnreachable   where a model should come from: hub, bucket or registry
│   ├── ClusterUnreachable  the Kubernetes API
│   ├── PipelinesUnreachable    the Pipelines server of a runtime configuration
│   └── EndpointUnreachable
├── StageFailed             a tool started and could not finish its job
│   ├── Forbidden           the cluster does not let this account do it: verb, resource, namespace
│   ├── ClusterRefused      the cluster refused an object: invalid, over quota, or there already
│   ├── DeploymentFailed    vLLM did not come up: likely reason and last log lines
│   │   ├── ImageUnavailable    an image cannot be pulled
│   │   ├── NotSchedulable      no node has what the server asks for, for example a free GPU
│   │   ├── NotAdmitted         a quota or an admission check refuses its pod
│   │   ├── InvalidDeployment   the cluster or vLLM does not accept how it is to be served
│   │   ├── ModelUnavailable    the model's files do not reach the server
│   │   ├── ModelNotLoaded      the files are there and vLLM cannot load them
│   │   ├── OutOfMemory         it needs more memory than it may have
│   │   ├── ServerCrashed       it ends again and again
│   │   ├── DeploymentStopped   somebody stopped or removed it
│   │   └── StartTimedOut       it was not ready in time
│   ├── GateFailed          a candidate is worse than its baseline by more than the policy allows
│   ├── GateInconclusive    too little was measured to tell
│   ├── SubmissionFailed    a pipeline could not be compiled or submitted
│   ├── DigestMismatch      what would be served is not what was registered
│   ├── ServerChanged       the server that is measured is not the one that was deployed
│   ├── SignatureInvalid    no trusted key has signed what would be served
│   ├── SweepFailed         GuideLLM ended badly or every request failed
│   ├── EvaluationFailed    lm-eval ended badly
│   ├── IncompleteCoverage  some questions were not answered
│   ├── RegistryFailed      the registry answered that it cannot do it, and why
│   └── StoreFailed         the store refused a write (for example, disk full)
└── TimedOut                something was waited for in vain

Every message says what failed, on which object, and what to do now.
"""

from __future__ import annotations


class AssayError(Exception):
    """What failed, on which object, and what to do now; the message is those sentences."""

    def __init__(self, what: str, *, do: str) -> None:
        super().__init__(f"{what.rstrip('. ')}. {do.rstrip('. ')}.")
        self.what, self.do = what, do


class InvalidInput(AssayError):
    """The user's input is refused before work starts."""


class InvalidParameter(InvalidInput):
    """A notebook parameter is out of its bounds or unsafe."""


class InvalidDataset(InvalidInput):
    """A dataset row is malformed; the message names file, line and field."""


class DatasetRefused(InvalidInput):
    """A use case's data hold more of a finding than it allows; the message names the kinds and the first rows."""


class UnknownTask(InvalidInput):
    """lm-eval knows no task of this name under the include path."""


class NotMeasurable(InvalidInput):
    """The endpoint does not offer what the task asks for, or the task gives no score for each question."""


class RefusedModel(InvalidInput):
    """Ingestion found something in the folder that may not come in."""


class InvalidPolicy(InvalidInput):
    """The policy file is malformed; the message names file, line and field."""


class InvalidCriteria(InvalidInput):
    """A use case's criteria are malformed or about what nothing measures; the message names file, line and field."""


class InvalidResults(InvalidInput):
    """Results that another tool wrote are no whole measurement; the message names file and line."""


class NotApproved(InvalidInput):
    """The registry does not say that this version may be used."""


class OtherRun(InvalidInput):
    """A file was written by another run."""


class NotFound(AssayError):
    """A named thing does not exist."""


class ModelNotFound(NotFound):
    """The registry has no such model or version; the message says the closest names."""


class NoMatch(NotFound):
    """No approved version meets the constraints."""


class ArtifactMissing(NotFound):
    """An earlier stage did not leave the file that this one reads."""


class Unreachable(AssayError):
    """A server did not answer within the bounded retries; the message names its address."""


class RegistryUnreachable(Unreachable):
    """The model registry did not answer."""


class StoreUnreachable(Unreachable):
    """The object store did not answer."""


class SourceUnreachable(Unreachable):
    """The hub, bucket or registry that a model should come from did not answer, or would not give it."""


class ClusterUnreachable(Unreachable):
    """The Kubernetes API did not answer, or nothing says where it is."""


class PipelinesUnreachable(Unreachable):
    """The Pipelines server that a runtime configuration names did not answer."""


class EndpointUnreachable(Unreachable):
    """The model's endpoint did not answer, or stopped answering."""


class StageFailed(AssayError):
    """A tool started and could not finish its job."""


class Forbidden(StageFailed):
    """The cluster does not let this account do it; the message says verb, resource, namespace and what is missing."""


class ClusterRefused(StageFailed):
    """The cluster refused an object, for example because it is invalid, over quota or there already."""


class DeploymentFailed(StageFailed):
    """The model server did not come up; the message has the likely reason and the last log lines."""


class ImageUnavailable(DeploymentFailed):
    """An image cannot be pulled."""


class NotSchedulable(DeploymentFailed):
    """No node has what the server asks for, for example a free GPU."""


class NotAdmitted(DeploymentFailed):
    """A quota or an admission check refuses the server's pod."""


class InvalidDeployment(DeploymentFailed):
    """The cluster or vLLM does not accept how the model is to be served."""


class ModelUnavailable(DeploymentFailed):
    """The model's files do not reach the server."""


class ModelNotLoaded(DeploymentFailed):
    """The model's files are there and vLLM cannot load them."""


class OutOfMemory(DeploymentFailed):
    """The server needs more memory than it may have."""


class ServerCrashed(DeploymentFailed):
    """The server ends again and again."""


class DeploymentStopped(DeploymentFailed):
    """Somebody stopped or removed the deployment while it was coming up."""


class StartTimedOut(DeploymentFailed):
    """The server was not ready in time."""


class GateFailed(StageFailed):
    """A candidate is worse than its baseline by more than the gate's policy allows."""


class GateInconclusive(StageFailed):
    """Too little was measured to tell whether a candidate is as good as its baseline."""


class SubmissionFailed(StageFailed):
    """A pipeline could not be compiled or submitted; the message has what Elyra or the server says."""


class DigestMismatch(StageFailed):
    """What would be served is not what was registered."""


class ServerChanged(StageFailed):
    """The server that answers is not the one that was deployed, or became another while it was measured."""


class SignatureInvalid(StageFailed):
    """Nobody trusted has signed what would be served."""


class SweepFailed(StageFailed):
    """GuideLLM ended badly, or every request failed."""


class EvaluationFailed(StageFailed):
    """lm-eval ended badly."""


class IncompleteCoverage(EvaluationFailed):
    """Some questions got no answer, and the parameters do not allow that."""


class EmptyAnswers(EvaluationFailed):
    """Most answers hold no text or were cut off: the score would say nothing."""


class RegistryFailed(StageFailed):
    """The model registry answered that it cannot do what was asked; the message has its reason."""


class StoreFailed(StageFailed):
    """The store refused a write."""


class TimedOut(AssayError):
    """Something was waited for in vain."""
