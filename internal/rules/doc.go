// Package rules compiles what operators write in when of a [[rule]]: conditions in CEL, the Common Expression Language
// (https://cel.dev), over facts of a message. A condition is compiled and type-checked before a policy is used, costs a
// bounded amount of work, and reads the Record alone, so that a verdict can be computed again. The facts are in one table
// (Facts), from which the documentation is made.
package rules
