package bridge

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/bridge/trail"
)

// Metrics is told what happens. Implementations are safe for concurrent use and return at
// once. Labels are names of stages, neighbours and codes, never anything of a patient.
type Metrics interface {
	intake.Observer
	// StageDone: a stage has handed an item on.
	StageDone(stage string, took time.Duration)
	// SetAside: an item was parked or rejected, with its reason code.
	SetAside(stage, how, code string)
	// Told: a stage found something amiss with an item and handed it on, with its code.
	Told(stage, code string)
	// Waiting: a stage waits for a neighbour, or no longer does.
	Waiting(stage, neighbour string, waits bool)
	// Incident: a control id stands for more than one record.
	Incident(trail.Event)
	// Recovered: records were put back on the bus at start.
	Recovered(n, suspect int)
}

type noMetrics struct{}

func (noMetrics) Submitted(intake.Outcome, time.Duration) {}
func (noMetrics) Refused(error)                           {}
func (noMetrics) LedgerFailed(error)                      {}
func (noMetrics) StageDone(string, time.Duration)         {}
func (noMetrics) SetAside(string, string, string)         {}
func (noMetrics) Told(string, string)                     {}
func (noMetrics) Waiting(string, string, bool)            {}
func (noMetrics) Incident(trail.Event)                    {}
func (noMetrics) Recovered(int, int)                      {}

// Collectors are Metrics for Prometheus.
type Collectors struct {
	submitted *prometheus.CounterVec
	accept    prometheus.Histogram
	refused   prometheus.Counter
	ledger    prometheus.Counter
	stages    *prometheus.HistogramVec
	aside     *prometheus.CounterVec
	told      *prometheus.CounterVec
	waiting   *prometheus.GaugeVec
	incidents prometheus.Counter
	recovered prometheus.Counter
	suspect   prometheus.Gauge
}

// NewCollectors registers the metrics of the pipeline, all named emrbridge_*.
func NewCollectors(r prometheus.Registerer) (*Collectors, error) {
	fast := prometheus.ExponentialBuckets(0.0005, 2, 16)
	c := &Collectors{
		submitted: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "emrbridge_submitted_total",
			Help: "Messages acknowledged to their senders, by outcome: received, duplicate, incident."}, []string{"outcome"}),
		accept: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "emrbridge_accept_seconds",
			Help: "Time from taking a message to having it durable.", Buckets: fast}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "emrbridge_submit_refused_total",
			Help: "Messages that could not be made durable and were not acknowledged."}),
		ledger: prometheus.NewCounter(prometheus.CounterOpts{Name: "emrbridge_control_id_ledger_failures_total",
			Help: "Questions to the ledger of control ids that were not answered."}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "emrbridge_stage_seconds",
			Help: "Time an item spent in a stage; its count is the number of items done.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 18)},
			[]string{"stage"}),
		aside: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "emrbridge_set_aside_total",
			Help: "Items parked or rejected, by reason code."}, []string{"stage", "how", "code"}),
		told: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "emrbridge_record_incidents_total",
			Help: "Records that were handed on although something is amiss, by code: contradicting numbers of patients, refused merges."},
			[]string{"stage", "code"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "emrbridge_waiting_for",
			Help: "1 while a stage waits for a neighbour."}, []string{"stage", "neighbour"}),
		incidents: prometheus.NewCounter(prometheus.CounterOpts{Name: "emrbridge_incidents_total",
			Help: "Control ids that stood for more than one record."}),
		recovered: prometheus.NewCounter(prometheus.CounterOpts{Name: "emrbridge_recovered_total",
			Help: "Records put back on the bus by reconciliation."}),
		suspect: prometheus.NewGauge(prometheus.GaugeOpts{Name: "emrbridge_suspect_records",
			Help: "Unanchored records in the store that do not open under this hospital's keys."}),
	}
	for _, x := range []prometheus.Collector{c.submitted, c.accept, c.refused, c.ledger, c.stages, c.aside, c.told, c.waiting,
		c.incidents, c.recovered, c.suspect} {
		if err := r.Register(x); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Submitted implements Metrics.
func (c *Collectors) Submitted(o intake.Outcome, took time.Duration) {
	c.submitted.WithLabelValues(o.String()).Inc()
	c.accept.Observe(took.Seconds())
}

// Refused implements Metrics.
func (c *Collectors) Refused(error) { c.refused.Inc() }

// LedgerFailed implements Metrics.
func (c *Collectors) LedgerFailed(error) { c.ledger.Inc() }

// StageDone implements Metrics.
func (c *Collectors) StageDone(stage string, took time.Duration) {
	c.stages.WithLabelValues(stage).Observe(took.Seconds())
}

// SetAside implements Metrics.
func (c *Collectors) SetAside(stage, how, code string) {
	c.aside.WithLabelValues(stage, how, code).Inc()
}

// Told implements Metrics.
func (c *Collectors) Told(stage, code string) { c.told.WithLabelValues(stage, code).Inc() }

// Waiting implements Metrics.
func (c *Collectors) Waiting(stage, neighbour string, waits bool) {
	v := 0.0
	if waits {
		v = 1
	}
	c.waiting.WithLabelValues(stage, neighbour).Set(v)
}

// Incident implements Metrics.
func (c *Collectors) Incident(trail.Event) { c.incidents.Inc() }

// Recovered implements Metrics.
func (c *Collectors) Recovered(n, suspect int) {
	c.recovered.Add(float64(n))
	c.suspect.Set(float64(suspect))
}

// depths shows queue lengths when metrics are asked for.
type depths struct {
	bus              *bus.Bus
	waiting, onDisk  *prometheus.Desc
	inFlight, limits *prometheus.Desc
}

// RegisterDepths registers gauges of what waits on the bus.
func RegisterDepths(r prometheus.Registerer, b *bus.Bus) error {
	labels := []string{"stream", "consumer"}
	return r.Register(&depths{bus: b,
		waiting:  prometheus.NewDesc("emrbridge_queue_waiting", "Messages not yet delivered to a consumer.", labels, nil),
		inFlight: prometheus.NewDesc("emrbridge_queue_in_flight", "Messages delivered and not acknowledged.", labels, nil),
		onDisk:   prometheus.NewDesc("emrbridge_queue_bytes", "Bytes of a stream on disk.", labels[:1], nil),
		limits:   prometheus.NewDesc("emrbridge_queue_limit_bytes", "Bytes that a stream may hold.", labels[:1], nil),
	})
}

// Describe implements prometheus.Collector.
func (d *depths) Describe(ch chan<- *prometheus.Desc) {
	for _, x := range []*prometheus.Desc{d.waiting, d.inFlight, d.onDisk, d.limits} {
		ch <- x
	}
}

// Collect implements prometheus.Collector. A bus that does not answer has no depths.
func (d *depths) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	all, err := d.bus.Depths(ctx)
	if err != nil {
		return
	}
	seen := map[string]bool{}
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	for _, x := range all {
		gauge(d.waiting, float64(x.Waiting), x.Stream, x.Consumer)
		gauge(d.inFlight, float64(x.InFlight), x.Stream, x.Consumer)
		if !seen[x.Stream] {
			gauge(d.onDisk, float64(x.Bytes), x.Stream)
			gauge(d.limits, float64(x.Limit), x.Stream)
		}
		seen[x.Stream] = true
	}
}
