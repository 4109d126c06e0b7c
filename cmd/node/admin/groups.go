package admin

import (
	"encoding/json"
	"net/http"

	"rookery"
	"rookery/cmd/node/adminapi"
)

func (a *Server) postGroups(w http.ResponseWriter, r *http.Request) {
	var in adminapi.GroupsBody
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&in); err != nil {
		replyError(w, rookery.E("add groups", rookery.KindInvalid, err))
		return
	}
	added, err := a.o.Members.AddGroups(r.Context(), in.Count)
	if err != nil && len(added) == 0 {
		replyError(w, err)
		return
	}
	out := adminapi.GroupsBody{Added: added}
	if err != nil {
		out.Error, out.Kind = err.Error(), rookery.KindOf(err)
	}
	reply(w, out)
}
