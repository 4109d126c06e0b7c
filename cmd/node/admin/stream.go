package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
)

// maxOrder bounds the order itself, in bytes.
const maxOrder = 1 << 20

// stream runs a long order: in is read from the request, fn's events go out as
// they come. The order ends with the operator's connection.
func stream[In any](w http.ResponseWriter, r *http.Request, fn func(ctx context.Context, in In, event func(any) error) error) {
	var in In
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder)).Decode(&in); err != nil {
		replyError(w, rookery.E("read order", rookery.KindInvalid, err))
		return
	}
	c := http.NewResponseController(w)
	c.SetReadDeadline(time.Time{}) // else the server's would end the order
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	send := func(l adminapi.StreamLine) error {
		if err := enc.Encode(l); err != nil {
			return err
		}
		return c.Flush()
	}
	err := fn(r.Context(), in, func(v any) error {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return send(adminapi.StreamLine{Event: b})
	})
	noteOutcome(w, err)
	if err != nil {
		kind := rookery.KindOf(err)
		if kind == rookery.KindUnknown && r.Context().Err() != nil { // it was cut off, and may be given again
			kind = rookery.KindUnavailable
		}
		send(adminapi.StreamLine{Error: &adminapi.ErrorBody{Error: err.Error(), Kind: kind}})
		return
	}
	send(adminapi.StreamLine{End: true})
}

// endLong ends the orders that may last when the server closes: it waits for
// all others.
func endLong(ending context.Context, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if strings.HasPrefix(path, "/v1/storage/") || strings.HasPrefix(path, "/v1/backup/") || strings.HasPrefix(path, "/v1/restores") {
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			defer context.AfterFunc(ending, cancel)()
			r = r.WithContext(ctx)
		}
		next.ServeHTTP(w, r)
	})
}
