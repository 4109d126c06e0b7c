package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"rookery"
	"rookery/cmd/node/adminapi"
)

// Queue is what is owed to other systems, in all groups.
type Queue interface {
	List(ctx context.Context, f adminapi.QueueFilter, limit int) (adminapi.QueueList, error)
	Summary(ctx context.Context, f adminapi.QueueFilter) ([]adminapi.QueueSum, error)
	Content(ctx context.Context, o adminapi.ContentOrder, event func(any) error) error
	Steer(ctx context.Context, verb string, o adminapi.QueueOrder) (adminapi.QueueDone, error)
}

// maxQueueListed bounds a list of the queue.
const maxQueueListed = 10_000

// queueRoutes adds the orders of rookery queue.
func (a *Server) queueRoutes(t *routes) {
	t.reads("GET /v1/queue", func(w http.ResponseWriter, r *http.Request) {
		limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
		if err != nil || limit < 1 || limit > maxQueueListed {
			limit = maxQueueListed
		}
		l, err := a.o.Queue.List(r.Context(), queueQuery(r.URL.Query()), limit)
		if err != nil {
			replyError(w, err)
			return
		}
		reply(w, l)
	})
	t.reads("GET /v1/queue/summary", func(w http.ResponseWriter, r *http.Request) {
		sums, err := a.o.Queue.Summary(r.Context(), queueQuery(r.URL.Query()))
		if err != nil {
			replyError(w, err)
			return
		}
		reply(w, sums)
	})
	t.changes("POST /v1/queue/content", "queue show -content", func(w http.ResponseWriter, r *http.Request) {
		stream(w, r, a.o.Queue.Content)
	})
	for _, verb := range []string{"hold", "release", "retry", "reroute", "cancel", "bounce"} {
		t.changes("POST /v1/queue/"+verb, "queue "+verb, func(w http.ResponseWriter, r *http.Request) { a.steerQueue(w, r, verb) })
	}
}

func (a *Server) steerQueue(w http.ResponseWriter, r *http.Request, verb string) {
	var o adminapi.QueueOrder
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&o)
	if err == nil && o.QueueFilter == (adminapi.QueueFilter{}) && !o.All {
		err = errors.New("pick some entries, or say that all are meant")
	}
	if err != nil {
		replyError(w, rookery.E("read order", rookery.KindInvalid, err))
		return
	}
	d, err := a.o.Queue.Steer(r.Context(), verb, o)
	if err != nil {
		replyError(w, err)
		return
	}
	noteDetail(w, fmt.Sprintf("%d done, %d left", d.Done, d.Left))
	reply(w, d)
}

func queueQuery(q url.Values) adminapi.QueueFilter {
	age, _ := strconv.ParseInt(q.Get("older_than_s"), 10, 64)
	return adminapi.QueueFilter{ID: q.Get("id"), Sender: q.Get("sender"), Recipient: q.Get("recipient"), Domain: q.Get("domain"),
		NextHop: q.Get("next_hop"), Reason: q.Get("reason"), State: q.Get("state"), OlderThan: age}
}
