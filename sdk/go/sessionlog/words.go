package sessionlog

// A Verdict is how a session ended.
type Verdict string

// The verdicts.
const (
	VerdictAccepted         Verdict = "accepted"           // the artifact passed every check
	VerdictMaxIterExhausted Verdict = "max_iter_exhausted" // the allowed attempts were rejected
	VerdictInfraError       Verdict = "infra_error"        // the session could not be judged
)

// An Outcome is how one attempt ended.
type Outcome string

// The outcomes.
const (
	OutcomeAccepted Outcome = "accepted" // the artifact passed every check
	OutcomeRejected Outcome = "rejected" // there is at least one finding
)

// A Constrain says whether the schema was handed to a model that can decode under it.
type Constrain string

// The ways to constrain.
const (
	ConstrainAuto Constrain = "auto" // where the model can
	ConstrainOff  Constrain = "off"  // never
)

// A Role is who said a message.
type Role string

// The roles.
const (
	RoleSystem    Role = "system"    // instructions
	RoleUser      Role = "user"      // the caller
	RoleAssistant Role = "assistant" // the model
)

// A FinishReason is why the model stopped. The list grows: a row of a later version may hold one that
// is none of these.
type FinishReason string

// The finish reasons.
const (
	FinishStop          FinishReason = "stop"           // by itself
	FinishLength        FinishReason = "length"         // at its limit of tokens
	FinishContentFilter FinishReason = "content_filter" // the provider refused
	FinishToolCalls     FinishReason = "tool_calls"     // to call a tool
	FinishOther         FinishReason = "other"          // anything else
)

// A History is what a later attempt saw of the earlier answers. The list grows: a row of a later
// version may hold one that is none of these.
type History string

// The histories.
const (
	HistoryFindings          History = ""                    // none of them; the member is left out
	HistoryAnswerAndFindings History = "answer_and_findings" // the last one
	HistoryFull              History = "full"                // all of them
)

// A CandidatesMode is how a request wanted the values offered to the model that the source names. The
// list grows: a row of a later version may hold one that is none of these.
type CandidatesMode string

// The ways to offer values.
const (
	CandidatesUnset  CandidatesMode = ""       // the request set none; the member is left out
	CandidatesAuto   CandidatesMode = "auto"   // as the model and their number allow
	CandidatesDecode CandidatesMode = "decode" // in the schema that the model decodes under
	CandidatesHint   CandidatesMode = "hint"   // in the prompt
	CandidatesOff    CandidatesMode = "off"    // not at all
)

// A Narrowing is how the values of a column were given to the model. The list grows: a row of a later
// version may hold one that is none of these.
type Narrowing string

// The ways to narrow.
const (
	NarrowingDecode Narrowing = "decode" // in the schema that the model decoded under
	NarrowingHint   Narrowing = "hint"   // in the prompt
)

// A FindingCode is why an answer was rejected. The list grows: a row of a later version may hold one
// that is none of these.
type FindingCode string

// The finding codes.
const (
	FindingNoJSON      FindingCode = "no_json"      // nothing in the answer begins like an object or array
	FindingInvalidJSON FindingCode = "invalid_json" // something does, and does not parse
	FindingAmbiguous   FindingCode = "ambiguous"    // several different values pass the schema
	FindingTruncated   FindingCode = "truncated"    // the text ended in the middle
	FindingRefused     FindingCode = "refused"      // the provider says so
	FindingEmpty       FindingCode = "empty"        // no text
	FindingTooLarge    FindingCode = "too_large"    // over 1 MiB
	FindingSchema      FindingCode = "schema"       // the JSON Schema does not hold
	FindingRule        FindingCode = "rule"         // a SQL rule does not hold
	FindingUngrounded  FindingCode = "ungrounded"   // a value is not in its table
)

// An InfraCode is why a session could not be judged. The list grows: a row of a later version may hold
// one that is none of these.
type InfraCode string

// The infra codes.
const (
	InfraConnect           InfraCode = "connect"            // refused, DNS, TLS, or reset before the first byte
	InfraUpstreamMalformed InfraCode = "upstream_malformed" // cut, not JSON, or of the wrong shape
	InfraUpstreamStatus    InfraCode = "upstream_status"    // any other status that is not 2xx
	InfraModelMissing      InfraCode = "model_missing"      // the endpoint does not know the model
	InfraOverloaded        InfraCode = "overloaded"         // 429, 503, 529 after retries, or no slot of ours
	InfraTimeout           InfraCode = "timeout"            // the deadline, or a transport limit
	InfraModelLoading      InfraCode = "model_loading"      // the load budget ended; the load goes on
	InfraTableUnavailable  InfraCode = "table_unavailable"  // a table cannot be read
	InfraRuleBroken        InfraCode = "rule_broken"        // a rule fails whatever the artifact holds
	InfraLogUnavailable    InfraCode = "log_unavailable"    // the row could not be made durable
	InfraShutdown          InfraCode = "shutdown"           // the daemon was told to stop
	InfraCrashed           InfraCode = "crashed"            // the process that ran the session died
)

var (
	verdicts      = []Verdict{VerdictAccepted, VerdictMaxIterExhausted, VerdictInfraError}
	outcomes      = []Outcome{OutcomeAccepted, OutcomeRejected}
	constrains    = []Constrain{ConstrainAuto, ConstrainOff}
	roles         = []Role{RoleSystem, RoleUser, RoleAssistant}
	finishReasons = []FinishReason{
		FinishStop, FinishLength, FinishContentFilter, FinishToolCalls, FinishOther,
	}
	findingCodes = []FindingCode{
		FindingNoJSON, FindingInvalidJSON, FindingAmbiguous, FindingTruncated, FindingRefused,
		FindingEmpty, FindingTooLarge, FindingSchema, FindingRule, FindingUngrounded,
	}
	infraCodes = []InfraCode{
		InfraConnect, InfraUpstreamMalformed, InfraUpstreamStatus, InfraModelMissing,
		InfraOverloaded, InfraTimeout, InfraModelLoading, InfraTableUnavailable,
		InfraRuleBroken, InfraLogUnavailable, InfraShutdown, InfraCrashed,
	}
	histories       = []History{HistoryAnswerAndFindings, HistoryFull}
	candidatesModes = []CandidatesMode{CandidatesAuto, CandidatesDecode, CandidatesHint, CandidatesOff}
	narrowings      = []Narrowing{NarrowingDecode, NarrowingHint}
)
