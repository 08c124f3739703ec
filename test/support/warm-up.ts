// The first request of a file loads the whole module graph; here, it is billed to no test.
import '../../src/index'
