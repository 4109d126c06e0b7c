package admin

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
)

// Tracer says what became of messages.
type Tracer interface {
	Trace(ctx context.Context, f adminapi.TraceFilter) (adminapi.Trace, error)
}

// traceRoutes adds what rookery trace asks.
func (a *Server) traceRoutes(t *routes) {
	t.reads("GET /v1/trace", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		f := adminapi.TraceFilter{ID: q.Get("id"), MessageID: q.Get("message_id"), Sender: q.Get("sender"), Recipient: q.Get("recipient"),
			User: q.Get("user"), Client: q.Get("client")}
		f.Limit, _ = strconv.Atoi(q.Get("limit"))
		var err error
		for name, at := range map[string]*time.Time{"from": &f.From, "until": &f.Until} {
			if text := q.Get(name); text != "" && err == nil {
				*at, err = time.Parse(time.RFC3339Nano, text)
			}
		}
		if err != nil {
			replyError(w, rookery.E("read question", rookery.KindInvalid, fmt.Errorf("malformed time: %w", err)))
			return
		}
		answer, err := a.o.Trace.Trace(r.Context(), f)
		if err != nil {
			replyError(w, err)
			return
		}
		reply(w, answer)
	})
}
