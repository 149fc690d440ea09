//go:build !googlefhir

package main

import "github.com/emrbridge/emrbridge/adapters/fhir"

// fhirEngine is the second judge of resources: none in a build without the tag googlefhir.
func fhirEngine() fhir.Engine { return nil }
