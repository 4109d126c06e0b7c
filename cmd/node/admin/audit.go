package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/replicas"
	"rookery/storage/command"
	"rookery/storage/system"
)

// auditor writes calls of administrators into the system group.
type auditor struct {
	node     string
	replicas *replicas.Replicas
}

// begin implements audit.
func (a auditor) begin(ctx context.Context, verb, args string) (uint64, error) {
	p, ok := principalFrom(ctx)
	if !ok {
		return 0, rookery.E("audit", rookery.KindDenied, errors.New("the kernel does not say who calls"))
	}
	r, err := a.replicas.ProposeSystem(ctx, &command.AuditCall{
		User: cut(p.name, command.MaxAuditName), Node: a.node, Verb: cut(verb, command.MaxAuditName), Args: args,
	})
	if err != nil {
		return 0, err
	}
	return r.(*command.AuditResult).Call, nil
}

// end implements audit.
func (a auditor) end(ctx context.Context, call uint64, outcome string) error {
	_, err := a.replicas.ProposeSystem(ctx, &command.AuditOutcome{Call: call, Outcome: outcome})
	return err
}

// auditPage bounds the rows of one answer.
const auditPage = 1000

// auditRoutes adds rookery audit.
func (a *Server) auditRoutes(t *routes) {
	t.reads("GET /v1/audit", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		after, err := strconv.ParseUint(q.Get("after"), 10, 64)
		since, err2 := strconv.ParseInt(q.Get("since"), 10, 64)
		if err := errors.Join(err, err2); err != nil {
			replyError(w, rookery.E("list audit", rookery.KindInvalid, err))
			return
		}
		if err := a.o.Replicas.Barrier(r.Context(), rookery.SystemGroup); err != nil {
			replyError(w, err)
			return
		}
		who, verb := q.Get("who"), q.Get("verb")
		rows, next, err := a.o.Replicas.System().Audits(after, auditPage, func(a system.Audit) bool {
			return a.Time >= since && (who == "" || a.User == who) && (verb == "" || a.Verb == verb)
		})
		if err != nil {
			replyError(w, err)
			return
		}
		out := adminapi.AuditPage{Calls: make([]adminapi.AuditedCall, 0, len(rows)), Next: next}
		for _, a := range rows {
			out.Calls = append(out.Calls, auditedCall(a))
		}
		reply(w, out)
	})
}

func auditedCall(a system.Audit) adminapi.AuditedCall {
	c := adminapi.AuditedCall{
		Call: a.Call, Time: time.Unix(0, a.Time).UTC(), User: a.User, Node: a.Node, Verb: a.Verb, Args: a.Args, Outcome: a.Outcome,
	}
	if a.Ended != 0 {
		at := time.Unix(0, a.Ended).UTC()
		c.Ended = &at
	}
	return c
}
