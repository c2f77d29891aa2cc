"""The catalogue of this homework's misconceptions, which the modules beside this one fill."""

from grader.checks.misconceptions import Catalogue

CATALOGUE = Catalogue()
misconception, choice, recognised = CATALOGUE.misconception, CATALOGUE.choice, CATALOGUE.recognised
