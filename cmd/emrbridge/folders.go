package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/emrbridge/emrbridge/adapters/hl7/dropfolder"
	"github.com/emrbridge/emrbridge/bridge"
	"github.com/emrbridge/emrbridge/config"
)

// serveFolders watches the drop folders until ctx ends.
func (s *site) serveFolders(ctx context.Context, group *errgroup.Group, p *bridge.Pipeline) error {
	messages := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "emrbridge_folder_messages_total",
		Help: "Messages from files in drop folders, by outcome: accepted or refused."}, []string{"folder", "outcome"})
	files := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "emrbridge_folder_events_total",
		Help: "What happened in drop folders: done, failed, waiting, skipped, absent."}, []string{"folder", "event"})
	if err := errors.Join(s.metrics.Register(messages), s.metrics.Register(files)); err != nil {
		return err
	}
	for _, c := range s.config.HL7.Folders {
		if c.Dir == "" {
			continue
		}
		f, err := s.openFolder(p, c, func(e dropfolder.Event) {
			files.WithLabelValues(c.Name, e.Kind.String()).Inc()
			messages.WithLabelValues(c.Name, "accepted").Add(float64(e.Accepted))
			messages.WithLabelValues(c.Name, "refused").Add(float64(e.Refused))
			s.folderEvent(c.Name, e)
		})
		if err != nil {
			return fmt.Errorf("hl7 folder %s: %w", c.Name, err)
		}
		group.Go(func() error {
			f.Run(ctx)
			return f.Close()
		})
	}
	return nil
}

func (s *site) openFolder(p *bridge.Pipeline, c config.Folder, observe func(dropfolder.Event)) (*dropfolder.Folder, error) {
	r, err := s.receiver(p.Intake, endpoint{name: c.Name, stage: "folder/" + c.Name, charset: c.Charset, force: c.ForceCharset})
	if err != nil {
		return nil, err
	}
	return dropfolder.Open(dropfolder.Config{
		Name: c.Name, Dir: c.Dir, StateDir: s.config.Dir(filepath.Join("folders", c.Name)), Receiver: r,
		Suffixes: c.Suffixes, StablePolls: c.StablePolls, Poll: c.Poll.D(), MaxFile: int64(c.MaxFile), Observe: observe,
		Spool: func() (dropfolder.Spool, error) { return s.spool() }, SpoolFrom: int(s.config.Intake.ClaimsFrom),
	})
}

func (s *site) folderEvent(name string, e dropfolder.Event) {
	log := s.log.With("part", "folder", "folder", name)
	switch e.Kind {
	case dropfolder.Done:
		log.Info("a file was taken", "messages", e.Accepted)
	case dropfolder.Failed:
		log.Warn("a file was moved to failed/; its result says why", "accepted", e.Accepted, "refused", e.Refused)
	default:
		log.Warn("files wait", "event", e.Kind.String(), "err", withoutPath(e.Err))
	}
}

// withoutPath drops the path of a file from an error: senders put names of patients into
// file names.
func withoutPath(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return fmt.Errorf("%s: %w", path.Op, path.Err)
	case errors.As(err, &link):
		return fmt.Errorf("%s: %w", link.Op, link.Err)
	}
	return err
}
