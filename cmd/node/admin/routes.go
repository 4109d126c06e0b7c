package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"rookery"
	"rookery/storage/command"
)

// routes is the one way for requests into the administration API. Each route
// is declared to read or to change, and what changes is audited here: no
// handler can forget it.
type routes struct {
	mux     *http.ServeMux
	audit   audit
	logger  *slog.Logger
	entries []routeEntry // in the order of their declaration
}

// routeEntry is what a route was declared to be.
type routeEntry struct {
	pattern string
	// verb is what the audit calls it, empty for one that reads; {name} stands
	// for that part of the path.
	verb string
	// when is the field of the request without which it only reads.
	when string
}

// audit records calls before they are begun, and how they ended.
type audit interface {
	begin(ctx context.Context, verb, args string) (call uint64, err error)
	end(ctx context.Context, call uint64, outcome string) error
}

func newRoutes(a audit, logger *slog.Logger) *routes {
	return &routes{mux: http.NewServeMux(), audit: a, logger: logger}
}

// reads declares a route that changes nothing.
func (t *routes) reads(pattern string, h http.HandlerFunc) {
	t.entries = append(t.entries, routeEntry{pattern: pattern})
	t.mux.HandleFunc(pattern, h)
}

// changes declares a route that changes something, or shows what only its sender
// and its receivers are to read.
func (t *routes) changes(pattern, verb string, h http.HandlerFunc) {
	t.changesWhen("", pattern, verb, h)
}

// changesWhen declares a route that changes something only where a field of
// the request is true.
func (t *routes) changesWhen(field, pattern, verb string, h http.HandlerFunc) {
	e := routeEntry{pattern, verb, field}
	t.entries = append(t.entries, e)
	t.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { t.audited(e, w, r, h) })
}

// outcomeWait bounds the wait for the record of an outcome.
const outcomeWait = 5 * time.Second

// audited has a call recorded, runs it, and has its outcome recorded. A call
// that cannot be recorded is not begun. An outcome that cannot be recorded is
// logged: the row then says that a call was begun.
func (t *routes) audited(e routeEntry, w http.ResponseWriter, r *http.Request, h http.HandlerFunc) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOrder))
	if err != nil {
		replyError(w, rookery.E("read order", rookery.KindInvalid, err))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var fields map[string]json.RawMessage
	json.Unmarshal(body, &fields) // what is malformed is the handler's to refuse
	if e.when != "" && string(fields[e.when]) != "true" {
		h(w, r)
		return
	}
	call, err := t.audit.begin(r.Context(), pathIn(e.verb, r), cut(auditArgs(e, r, fields), command.MaxAuditText))
	if err != nil {
		replyError(w, rookery.E("record the call", rookery.KindUnavailable,
			fmt.Errorf("nothing was changed, for the audit could not be written: %w", err)))
		return
	}
	x := &auditedWriter{ResponseWriter: w, outcome: "ended without an answer"}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), outcomeWait)
		defer cancel()
		if err := t.audit.end(ctx, call, cut(x.outcome, command.MaxAuditText)); err != nil {
			t.logger.Warn("the outcome of an audited call is not recorded", "call", call, "outcome", x.outcome, "error", err)
		}
	}()
	h(x, r)
}

// auditedWriter hears from replies how a call ended.
type auditedWriter struct {
	http.ResponseWriter
	outcome, detail string
}

// Unwrap is for http.ResponseController.
func (w *auditedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// noteOutcome notes how a call ended, where it is audited.
func noteOutcome(w http.ResponseWriter, err error) {
	x, ok := w.(*auditedWriter)
	if !ok {
		return
	}
	switch {
	case err != nil:
		x.outcome = "failed: " + err.Error()
	case x.detail != "":
		x.outcome = "done: " + x.detail
	default:
		x.outcome = "done"
	}
}

// noteDetail adds to the outcome of an audited call that succeeds.
func noteDetail(w http.ResponseWriter, detail string) {
	if x, ok := w.(*auditedWriter); ok {
		x.detail = detail
	}
}

var pathPart = regexp.MustCompile(`\{(\w+)\}`)

// pathIn puts parts of the request's path into a pattern.
func pathIn(pattern string, r *http.Request) string {
	return pathPart.ReplaceAllStringFunc(pattern, func(part string) string { return r.PathValue(strings.Trim(part, "{}")) })
}

// unauditedFields are those of requests that hold secrets, or are too long.
var unauditedFields = []string{"document"}

// auditArgs words what a call was given.
func auditArgs(e routeEntry, r *http.Request, fields map[string]json.RawMessage) string {
	var args []string
	for _, m := range pathPart.FindAllStringSubmatch(e.pattern, -1) {
		if !strings.Contains(e.verb, m[0]) {
			args = append(args, r.PathValue(m[1]))
		}
	}
	for _, secret := range unauditedFields {
		delete(fields, secret)
	}
	if len(fields) > 0 {
		b, err := json.Marshal(fields)
		if err == nil {
			args = append(args, string(b))
		}
	}
	return strings.Join(args, " ")
}

// cut shortens a text to a number of bytes.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-3], "") + "..."
}
