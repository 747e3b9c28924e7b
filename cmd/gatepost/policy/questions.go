package policy

import (
	"net/http"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/config"
	"gatepost/internal/control"
)

// MaxBody bounds the body of a request with a document: each octet of which may have become six.
const MaxBody = 6*config.MaxFile + 64<<10

// Bounds of a publish. Its time is that of everything that the document names: files, directories, lists.
const (
	publishTime = 50 * time.Second
	maxComment  = 2000
	leastTime   = time.Second
	mostTime    = 24 * time.Hour
)

// None takes nothing.
type None struct{}

// Page is which part of a list is wanted.
type Page struct {
	Limit  int   `json:"limit" default:"50" min:"1" max:"500" doc:"How many, at most"`
	Cursor int64 `json:"cursor" min:"0" doc:"Where the list goes on: next of the answer before"`
}

// Some names a version, or what is in force.
type Some struct {
	Version int64 `json:"version" min:"0" doc:"The number of the version; not set: what is in force"`
}

// Two names what is compared.
type Two struct {
	From int64 `json:"from" min:"0" doc:"The version before; not set: the one in front of the other"`
	To   int64 `json:"to" min:"0" doc:"The version after; not set: the one in force"`
}

// Document is a policy that is looked at only.
type Document struct {
	Text string `json:"text" doc:"The document, as in policy.toml"`
}

// Proposal is a policy that is to be published.
type Proposal struct {
	Match   string `json:"-" header:"If-Match" doc:"The ETag of the policy that its author began with. One of If-Match and expect is needed"`
	Expect  *int64 `json:"expect,omitempty" doc:"The number of the version that its author began with; 0 where none was published"`
	Text    string `json:"text" secret:"true" doc:"The document, as in policy.toml"`
	Comment string `json:"comment,omitempty" doc:"Why, for whoever reads it later"`
	Confirm string `json:"confirm,omitempty" doc:"How long somebody has to confirm it before it is undone, such as 10m; 0 for no need. Not set: publish.confirm of the policy in force"`
}

// Back is a version that is gone back to.
type Back struct {
	Match   string `json:"-" header:"If-Match" doc:"The ETag of the policy that is left. One of If-Match and expect is needed"`
	Expect  *int64 `json:"expect,omitempty" doc:"The number of the version that is left"`
	Version int64  `json:"version,omitempty" min:"0" doc:"The version to go back to; not set: the one before"`
	Comment string `json:"comment,omitempty" doc:"Why, for whoever reads it later"`
	Confirm string `json:"confirm,omitempty" doc:"How long somebody has to confirm it before it is undone, such as 10m"`
}

// Stay is a version that may stay.
type Stay struct {
	Version int64 `json:"version" required:"true" min:"1" doc:"The version that is in force and may stay"`
}

// The operations as whoever asks knows them.
func showQuestion() control.Operation {
	return control.Operation{Name: "policy show", Method: http.MethodGet, Path: "/policy", Doc: "Show the policy in force, or one of its versions", Right: access.PolicyRead}
}

func exportQuestion() control.Operation {
	return control.Operation{Name: "policy export", Method: http.MethodGet, Path: "/policy/export", Doc: "Give the document of the policy in force, or of one of its versions", Right: access.PolicyRead}
}

func versionsQuestion() control.Operation {
	return control.Operation{Name: "policy versions", Method: http.MethodGet, Path: "/policy/versions", Doc: "List the versions of the policy, the newest first", Right: access.PolicyRead}
}

func diffQuestion() control.Operation {
	return control.Operation{Name: "policy diff", Method: http.MethodGet, Path: "/policy/diff", Doc: "Tell what differs between two versions of the policy", Right: access.PolicyRead}
}

func checkQuestion() control.Operation {
	return control.Operation{Name: "policy check", Method: http.MethodPost, Path: "/policy/check", Doc: "Say whether a document could be published, what is wrong with it, and what it changes", Right: access.PolicyDraft, Body: MaxBody, Time: publishTime}
}

func applyQuestion() control.Operation {
	return control.Operation{Name: "policy apply", Method: http.MethodPost, Path: "/policy/versions", Doc: "Publish a document as the policy", Right: access.PolicyPublish, Body: MaxBody, Time: publishTime}
}

func rollbackQuestion() control.Operation {
	return control.Operation{Name: "policy rollback", Method: http.MethodPost, Path: "/policy/rollback", Doc: "Publish an earlier version of the policy again", Right: access.PolicyPublish, Time: publishTime}
}

func confirmQuestion() control.Operation {
	return control.Operation{Name: "policy confirm", Method: http.MethodPost, Path: "/policy/confirm", Doc: "Say that a version which waits for it may stay", Right: access.PolicyPublish}
}

// Text is a draft as a whole.
type Text struct {
	Match string `json:"-" header:"If-Match" doc:"The ETag of the draft that was seen. Not set: there was none"`
	Text  string `json:"text" secret:"true" doc:"The document, as in policy.toml"`
	Base  *int64 `json:"base,omitempty" doc:"The version that it is a change of from now on; not set: as before, of a new draft the one in force"`
}

// Edit are changes of a draft.
type Edit struct {
	Match  string   `json:"-" header:"If-Match" doc:"The ETag of the draft that was seen. Not set: whatever it is"`
	Set    []string `json:"set,omitempty" secret:"true" doc:"KEY=VALUE: a key with its value as in policy.toml, where text needs no quotes; domain[example.org].route=in, or of a new element domain[]={ name = \"example.org\", route = \"in\" }"`
	Remove []string `json:"remove,omitempty" doc:"A key whose default shall hold, or a table or an element to take away"`
	Move   []string `json:"move,omitempty" doc:"KEY=NUMBER: the place, from 1, that an element of a list gets in it after all else was done, as rule[3]=1"`
}

func draftQuestion() control.Operation {
	return control.Operation{Name: "policy draft", Method: http.MethodGet, Path: "/policy/draft", Doc: "Show your draft of the policy", Right: access.PolicyRead}
}

func editQuestion() control.Operation {
	return control.Operation{Name: "policy edit", Method: http.MethodPatch, Path: "/policy/draft", Doc: "Change keys in your draft of the policy, and leave all else in it as it is", Right: access.PolicyDraft}
}

func saveQuestion() control.Operation {
	return control.Operation{Name: "policy save", Method: http.MethodPut, Path: "/policy/draft", Doc: "Keep a document as your draft of the policy", Right: access.PolicyDraft, Body: MaxBody}
}

func discardQuestion() control.Operation {
	return control.Operation{Name: "policy discard", Method: http.MethodDelete, Path: "/policy/draft", Doc: "Forget your draft of the policy", Right: access.PolicyDraft}
}
