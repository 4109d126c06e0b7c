package node

import "net/http"

// storageOrders adds what rookery storage asks a node for, a line an order;
// long ones answer through stream.
func (n *Node) storageOrders(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/storage/sweep", func(w http.ResponseWriter, r *http.Request) { stream(w, r, n.sweepStorage) })
	n.holdOrders(mux)
	mux.HandleFunc("POST /v1/storage/check", func(w http.ResponseWriter, r *http.Request) { stream(w, r, n.checkStorage) })
	n.dictionaryOrders(mux)
	mux.HandleFunc("POST /v1/storage/rebuild-index", func(w http.ResponseWriter, r *http.Request) { stream(w, r, n.rebuildStorage) })
}
