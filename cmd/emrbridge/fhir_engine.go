package main

import (
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/googlefhir"
)

var googleEngine = sync.OnceValues(func() (*googlefhir.Engine, error) { return googlefhir.New(time.UTC) })

// fhirEngine is the second judge of resources.
func fhirEngine() fhir.Engine {
	e, err := googleEngine()
	if err != nil {
		panic(err) // UTC is always known
	}
	return e
}
