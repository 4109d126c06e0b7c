package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/storage/command"
)

// nodeRoutes adds what is asked of the cluster and its nodes.
func (a *Server) nodeRoutes(t *routes) {
	t.reads("GET /v1/status", func(w http.ResponseWriter, r *http.Request) { reply(w, a.o.Status()) })
	t.changes("POST /v1/token", "token", a.postToken)
	t.changes("POST /v1/nodes/{name}/{state}", "{state}", a.postState)
	t.changes("POST /v1/finalize", "upgrade finalize", func(w http.ResponseWriter, r *http.Request) {
		if err := a.o.Members.Finalize(r.Context()); err != nil {
			replyError(w, err)
			return
		}
		reply(w, struct{}{})
	})
	t.changes("POST /v1/groups", "group add", a.postGroups)
}

func (a *Server) postToken(w http.ResponseWriter, r *http.Request) {
	var in adminapi.Invitation
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&in)
	if err != nil || in.Valid < time.Minute || in.Valid > 30*24*time.Hour {
		replyError(w, rookery.E("mint token", rookery.KindInvalid, fmt.Errorf("a token is valid for 1 minute to 30 days, not %v", in.Valid)))
		return
	}
	if in.Token, in.Addresses, err = a.o.Members.MintToken(r.Context(), in.Valid); err != nil {
		replyError(w, err)
		return
	}
	reply(w, in)
}

func (a *Server) postState(w http.ResponseWriter, r *http.Request) {
	states := map[string]command.NodeState{"drain": command.NodeDraining, "undrain": command.NodeActive, "remove": command.NodeRemoved}
	to, ok := states[r.PathValue("state")]
	if !ok {
		replyError(w, rookery.E("change node", rookery.KindInvalid, fmt.Errorf("%q is none of drain, undrain, remove", r.PathValue("state"))))
		return
	}
	if err := a.o.Members.SetState(r.Context(), r.PathValue("name"), to); err != nil {
		replyError(w, err)
		return
	}
	reply(w, struct{}{})
}
