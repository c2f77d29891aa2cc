"""How student code is asked where calling a function is not all that there is to do; knows no answers."""

from grader.probes.task import Probes
from homework.contract import CONTRACT
from homework.probes import metalearning, training

PROBES = Probes(CONTRACT, {**training.PROBES, **metalearning.PROBES}, metalearning.lent_functions)
