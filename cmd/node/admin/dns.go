package admin

import (
	"net/http"

	"rookery/cmd/node/adminapi"
)

// dnsRoutes adds what rookery dns asks.
func (a *Server) dnsRoutes(t *routes) {
	t.reads("GET /v1/dns/{domain}", func(w http.ResponseWriter, r *http.Request) {
		addresses, err := adminapi.ParseAddresses(r.URL.Query()["address"])
		var report adminapi.DNSReport
		if err == nil {
			report, err = a.o.Records.Check(r.Context(), r.PathValue("domain"), addresses)
		}
		if err != nil {
			replyError(w, err)
			return
		}
		reply(w, report)
	})
}
