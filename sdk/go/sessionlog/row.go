package sessionlog

// A Truncated stands beside a text or list that was cut to fit the row.
type Truncated struct {
	Truncated bool    // always true
	Bytes     int64   // of the whole value, in UTF-8
	SHA256    string  // of the whole value: 64 lowercase hex digits
	Unknown   Unknown // members that a later version added
}

// A Message is one turn of a conversation as the row keeps it.
type Message struct {
	Role             Role
	Content          string
	ContentTruncated *Truncated // if Content was cut
	Unknown          Unknown    // members that a later version added
}

// Settings are the sampling and time settings in force; nil is "not set".
type Settings struct {
	Constrain     Constrain
	Temperature   RawNumber      // as it came: 0.70 stays 0.70
	MaxTokens     *int64         // of one answer
	Seed          *int64         // of the sampler
	DeadlineMS    int64          // of the session
	History       History        // what a later attempt saw of the earlier answers
	Candidates    CandidatesMode // how the request wanted values offered
	TopP          RawNumber      // of the request; nothing is left out
	Stop          []string       // texts that end an answer, of the request; nil is left out
	AssertFormats bool           // assert_formats of the request; false is left out
	Unknown       Unknown        // members that a later version added

	cameHistory    History        // what History was read as
	cameCandidates CandidatesMode // what Candidates was read as
}

// Usage is the tokens of one model call, or their sum; nil where the provider does not say.
type Usage struct {
	PromptTokens     *int64  // read
	CompletionTokens *int64  // written
	Unknown          Unknown // members that a later version added
}

// A Finding is one reason to reject an answer.
type Finding struct {
	Code             FindingCode // which check
	Path             string      // JSON Pointer (RFC 6901) into the artifact; empty for the whole
	Message          string      // for people; not compared between runtimes
	MessageTruncated *Truncated  // if Message was cut
	Got              RawJSON     // the value at Path; left out over 256 bytes
	Expected         RawJSON     // what would have held
	Nearest          []NearValue // values of the column, nearest first; at most 3
	Unknown          Unknown     // members that a later version added

	came FindingCode // what Code was read as
}

// A Repair is one change that opt-in repair made to get JSON.
type Repair struct {
	Code    string  // what was mended
	Offset  int64   // UTF-8 bytes of Output before it
	Message string  // for people
	Unknown Unknown // members that a later version added
}

// A Narrowed is what the model could choose from at one place: values of a column that the source
// names, or quotes of the source.
type Narrowed struct {
	Path       string    // JSON Pointer (RFC 6901) into the artifact
	Column     string    // table.column; source where quotes of the source were offered
	Mode       Narrowing // how the model was given them
	Candidates int64     // how many there were
	Digest     string    // of their list, by its RFC 8785 form: sha256: and 64 hex digits
	Unknown    Unknown   // members that a later version added

	came Narrowing // what Mode was read as
}

// An Attempt is one model answer, judged.
type Attempt struct {
	Iteration         int64 // from 0
	Outcome           Outcome
	Findings          []Finding    // by Path bytes, then code, then keyword; none when accepted
	FindingsTruncated *Truncated   // if Findings was cut
	Told              *string      // what was added to the conversation; nil at iteration 0
	ToldTruncated     *Truncated   // if Told was cut
	Output            string       // the model's text, thinking blocks included
	OutputTruncated   *Truncated   // if Output was cut
	Thinking          *string      // the provider's reasoning field, else the thinking blocks
	ThinkingTruncated *Truncated   // if Thinking was cut
	Artifact          RawJSON      // the JSON value taken from the answer, or nothing
	ArtifactTruncated *Truncated   // if Artifact was cut
	Repairs           []Repair     // in the order in which they were made
	RepairsTruncated  *Truncated   // if Repairs was cut
	FinishReason      FinishReason // why the model stopped
	Usage             Usage        // of this call
	DurationMS        int64        // of the call and its checks, rounded down
	SpanID            string       // the parent that the model call carried: 16 lowercase hex digits
	Narrowed          []Narrowed   // what the model could choose from; nil is left out
	Unknown           Unknown      // members that a later version added

	came FinishReason // what FinishReason was read as
}

// A SessionError is why a session could not be judged.
type SessionError struct {
	Code    InfraCode // what was in the way
	Message string    // for people
	Detail  *string   // the cause in the words of whoever had it
	Unknown Unknown   // members that a later version added

	came     InfraCode // what Code was read as
	noDetail bool      // a row of before there was one
}

// An Entry is one member of metadata, which keeps its order.
type Entry struct{ Name, Value string }

// A SessionRow is session.iterate.v1: the one line a session leaves.
type SessionRow struct {
	SessionID         string  // joins everything; see [CallIDs]
	TraceID           string  // see [TraceIDOf]
	RowID             string  // see [NewID]
	Timestamp         string  // the end of the session; see [Timestamp]
	Daemon            string  // the process that writes the row: this program's name
	Kind              *string // nil with an inline schema
	Model             string  // the provider's name for the model, as configured
	ModelAlias        string  // the name that requests use
	Provider          string  // such as openai
	Prompt            string  // with Messages, the last user text
	PromptTruncated   *Truncated
	Messages          []Message // nil if a prompt was given
	System            *string   // the text in force
	SystemTruncated   *Truncated
	MaxIterations     int64 // answers that may be judged
	Settings          Settings
	InlineSchema      RawJSON // as it came, or nothing
	Verdict           Verdict
	Iterations        int64     // attempts made
	AcceptedIteration *int64    // nil unless accepted
	Grounded          *bool     // nil if no grounding rule applied
	Artifact          RawJSON   // the final one, or nothing
	Attempts          []Attempt // in order
	Error             *SessionError
	Usage             Usage             // sums over the attempts; nil if any part is
	DurationMS        int64             // rounded down
	ConversationID    *string           // the caller's
	Metadata          []Entry           // the caller's, in its order
	TraceIDReplaced   bool              // a bad trace-id header was replaced
	ConfigDigest      string            // sha256: and 64 hex digits
	KindDigest        string            // sha256: and 64 hex digits
	Tables            map[string]string // name to digest; written in the order of the names' bytes
	Unknown           Unknown           // members that a later version added
}

// A Started is session.started.v1: what is known before the first model call.
//
// A session whose writer died without a row becomes one row made of these members.
type Started struct {
	SessionID       string
	TraceID         string
	RowID           string // the same as the row's
	Timestamp       string // the start of the session
	Daemon          string
	Kind            *string
	Model           string
	ModelAlias      string
	Provider        string
	Prompt          string
	PromptTruncated *Truncated
	Messages        []Message
	System          *string
	SystemTruncated *Truncated
	MaxIterations   int64
	Settings        Settings
	InlineSchema    RawJSON
	ConversationID  *string
	Metadata        []Entry
	TraceIDReplaced bool
	ConfigDigest    string
	KindDigest      string
	Unknown         Unknown // members that a later version added
}

// A SegmentHeader is session_log.segment.v1: the first line of every segment.
type SegmentHeader struct {
	WriterID  string  // of the one writer of this file
	Segment   int64   // from 0, one more for each file of the writer
	Daemon    string  // the process that writes
	Runtime   string  // the language it is made in: go
	Version   string  // of the writer's library
	StartedAt string  // when the file was begun
	Unknown   Unknown // members that a later version added
}

// --- The members, each object's in the contract's order -------------------------------------------

func (t *Truncated) fields() []field {
	return []field{
		{"truncated", boolean(&t.Truncated)},
		{"bytes", integer(&t.Bytes)},
		{"sha256", text(&t.SHA256)},
	}
}

func (m *Message) fields() []field {
	return []field{
		{"role", word(&m.Role, roles)},
		{"content", text(&m.Content)},
		{"content_truncated", marker(&m.ContentTruncated)},
	}
}

func (s *Settings) fields() []field {
	return []field{
		{"constrain", word(&s.Constrain, constrains)},
		{"temperature", number(&s.Temperature)},
		{"max_tokens", intOrNull(&s.MaxTokens)},
		{"seed", intOrNull(&s.Seed)},
		{"deadline_ms", integer(&s.DeadlineMS)},
		{"history", optionalWord(&s.History, &s.cameHistory, histories)},
		{"candidates", optionalWord(&s.Candidates, &s.cameCandidates, candidatesModes)},
		{"top_p", optionalNumberMember{numberMember{&s.TopP}}},
		{"stop", optionalListMember[string]{listMember[string]{&s.Stop, text}}},
		{"assert_formats", trueMember{boolMember{&s.AssertFormats}}},
	}
}

func (u *Usage) fields() []field {
	return []field{
		{"prompt_tokens", intOrNull(&u.PromptTokens)},
		{"completion_tokens", intOrNull(&u.CompletionTokens)},
	}
}

func (f *Finding) fields() []field {
	return []field{
		{"code", grown(&f.Code, &f.came, findingCodes)},
		{"path", text(&f.Path)},
		{"message", text(&f.Message)},
		{"message_truncated", marker(&f.MessageTruncated)},
		{"got", evidence(&f.Got)},
		{"expected", evidence(&f.Expected)},
		{"nearest", optionalListMember[NearValue]{listMember[NearValue]{&f.Nearest, near}}},
	}
}

func (r *Repair) fields() []field {
	return []field{
		{"code", text(&r.Code)},
		{"offset", integer(&r.Offset)},
		{"message", text(&r.Message)},
	}
}

func (n *Narrowed) fields() []field {
	return []field{
		{"path", text(&n.Path)},
		{"column", text(&n.Column)},
		{"mode", grown(&n.Mode, &n.came, narrowings)},
		{"candidates", integer(&n.Candidates)},
		{"digest", text(&n.Digest)},
	}
}

func (a *Attempt) fields() []field {
	return []field{
		{"iteration", integer(&a.Iteration)},
		{"outcome", word(&a.Outcome, outcomes)},
		{"findings", listMember[Finding]{&a.Findings, one[Finding]}},
		{"findings_truncated", marker(&a.FindingsTruncated)},
		{"told", textOrNull(&a.Told)},
		{"told_truncated", marker(&a.ToldTruncated)},
		{"output", text(&a.Output)},
		{"output_truncated", marker(&a.OutputTruncated)},
		{"thinking", textOrNull(&a.Thinking)},
		{"thinking_truncated", marker(&a.ThinkingTruncated)},
		{"artifact", raw(&a.Artifact)},
		{"artifact_truncated", marker(&a.ArtifactTruncated)},
		{"repairs", listMember[Repair]{&a.Repairs, one[Repair]}},
		{"repairs_truncated", marker(&a.RepairsTruncated)},
		{"finish_reason", grown(&a.FinishReason, &a.came, finishReasons)},
		{"usage", one(&a.Usage)},
		{"duration_ms", integer(&a.DurationMS)},
		{"span_id", text(&a.SpanID)},
		{"narrowed", optionalListMember[Narrowed]{listMember[Narrowed]{&a.Narrowed, one[Narrowed]}}},
	}
}

func (e *SessionError) fields() []field {
	return []field{
		{"code", grown(&e.Code, &e.came, infraCodes)},
		{"message", text(&e.Message)},
		{"detail", laterMember{nullableMember[string]{&e.Detail, text}, &e.noDetail}},
	}
}

func (r *SessionRow) fields() []field {
	return []field{
		{"session_id", text(&r.SessionID)},
		{"trace_id", text(&r.TraceID)},
		{"row_id", text(&r.RowID)},
		{"timestamp", text(&r.Timestamp)},
		{"daemon", text(&r.Daemon)},
		{"kind", textOrNull(&r.Kind)},
		{"model", text(&r.Model)},
		{"model_alias", text(&r.ModelAlias)},
		{"provider", text(&r.Provider)},
		{"prompt", text(&r.Prompt)},
		{"prompt_truncated", marker(&r.PromptTruncated)},
		{"messages", messages(&r.Messages)},
		{"system", textOrNull(&r.System)},
		{"system_truncated", marker(&r.SystemTruncated)},
		{"max_iterations", integer(&r.MaxIterations)},
		{"settings", one(&r.Settings)},
		{"inline_schema", raw(&r.InlineSchema)},
		{"verdict", word(&r.Verdict, verdicts)},
		{"iterations", integer(&r.Iterations)},
		{"accepted_iteration", intOrNull(&r.AcceptedIteration)},
		{"grounded", boolOrNull(&r.Grounded)},
		{"artifact", raw(&r.Artifact)},
		{"attempts", listMember[Attempt]{&r.Attempts, one[Attempt]}},
		{"error", nullableMember[SessionError]{&r.Error, one[SessionError]}},
		{"usage", one(&r.Usage)},
		{"duration_ms", integer(&r.DurationMS)},
		{"conversation_id", textOrNull(&r.ConversationID)},
		{"metadata", metadata(&r.Metadata)},
		{"trace_id_replaced", boolean(&r.TraceIDReplaced)},
		{"config_digest", text(&r.ConfigDigest)},
		{"kind_digest", text(&r.KindDigest)},
		{"tables", tablesMember{&r.Tables}},
	}
}

func (s *Started) fields() []field {
	return []field{
		{"session_id", text(&s.SessionID)},
		{"trace_id", text(&s.TraceID)},
		{"row_id", text(&s.RowID)},
		{"timestamp", text(&s.Timestamp)},
		{"daemon", text(&s.Daemon)},
		{"kind", textOrNull(&s.Kind)},
		{"model", text(&s.Model)},
		{"model_alias", text(&s.ModelAlias)},
		{"provider", text(&s.Provider)},
		{"prompt", text(&s.Prompt)},
		{"prompt_truncated", marker(&s.PromptTruncated)},
		{"messages", messages(&s.Messages)},
		{"system", textOrNull(&s.System)},
		{"system_truncated", marker(&s.SystemTruncated)},
		{"max_iterations", integer(&s.MaxIterations)},
		{"settings", one(&s.Settings)},
		{"inline_schema", raw(&s.InlineSchema)},
		{"conversation_id", textOrNull(&s.ConversationID)},
		{"metadata", metadata(&s.Metadata)},
		{"trace_id_replaced", boolean(&s.TraceIDReplaced)},
		{"config_digest", text(&s.ConfigDigest)},
		{"kind_digest", text(&s.KindDigest)},
	}
}

func (h *SegmentHeader) fields() []field {
	return []field{
		{"writer_id", text(&h.WriterID)},
		{"segment", integer(&h.Segment)},
		{"daemon", text(&h.Daemon)},
		{"runtime", text(&h.Runtime)},
		{"version", text(&h.Version)},
		{"started_at", text(&h.StartedAt)},
	}
}

func messages(place *[]Message) member {
	return nullableListMember[Message]{listMember[Message]{place, one[Message]}}
}

func (t *Truncated) unknown() *Unknown     { return &t.Unknown }
func (m *Message) unknown() *Unknown       { return &m.Unknown }
func (s *Settings) unknown() *Unknown      { return &s.Unknown }
func (u *Usage) unknown() *Unknown         { return &u.Unknown }
func (f *Finding) unknown() *Unknown       { return &f.Unknown }
func (r *Repair) unknown() *Unknown        { return &r.Unknown }
func (n *Narrowed) unknown() *Unknown      { return &n.Unknown }
func (a *Attempt) unknown() *Unknown       { return &a.Unknown }
func (e *SessionError) unknown() *Unknown  { return &e.Unknown }
func (r *SessionRow) unknown() *Unknown    { return &r.Unknown }
func (s *Started) unknown() *Unknown       { return &s.Unknown }
func (h *SegmentHeader) unknown() *Unknown { return &h.Unknown }

// AppendJSON writes a finding as it stands in rows and in replies. The error is an [*EncodeError].
func (f *Finding) AppendJSON(out []byte) ([]byte, error) {
	return writeObject(out, f)
}
