package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"

	"rookery"
)

// metering is the node's part of monitoring.
type metering struct {
	metrics *metrics
	scraped *metricsServer
}

// metricsServer answers monitoring on a listener of its own.
type metricsServer struct {
	node   *Node
	server http.Server
	wg     sync.WaitGroup
}

// open begins to answer, if there is a listener.
func (s *metricsServer) open(ctx context.Context) error {
	n := s.node
	if len(n.cfg.Listen.Metrics) == 0 {
		return nil
	}
	n.metrics.registry.MustRegister(scraper{n}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.metrics.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 2, Timeout: 10 * time.Second}))
	s.server = http.Server{Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 15 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10}
	for _, addr := range n.cfg.Listen.Metrics {
		ln, err := n.deps.Network.Listen(ctx, "tcp", addr)
		if err != nil {
			return rookery.E("listen", rookery.KindUnavailable, fmt.Errorf("metrics on %s: %w; free the port or change listen.metrics", addr, err))
		}
		s.wg.Go(func() {
			if err := s.server.Serve(netutil.LimitListener(ln, maxPlainConns)); !errors.Is(err, http.ErrServerClosed) {
				n.deps.Logger.Error("listener ended", "listener", "metrics", "address", addr, "error", err)
			}
		})
	}
	return nil
}

func (s *metricsServer) close() error {
	err := s.server.Close()
	s.wg.Wait()
	return err
}
